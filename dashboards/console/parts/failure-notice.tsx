import { FAILURES } from '../../../common/contracts/failure-table.ts';
import type { Failure } from '../../../common/contracts/failures.ts';
import { printable } from '../../../common/text/printable.ts';
import { Link } from './place.tsx';

interface FailureProps {
  readonly failure: Failure;
  /** The part of the log that shows it: link and name. */
  readonly place?: { readonly href: string; readonly name: string } | undefined;
}

/** Reason, remedy and evidence of a failure. Texts of guests are shown as text, cleaned. */
export function FailureNotice({ failure, place }: FailureProps) {
  const { reason, message, events, hints, logTail, serialTail } = failure;
  if (reason === 'ParentFailed') return <p class="notice">Skipped. {printable(message)}</p>;
  return (
    <div class="notice bad failure">
      <p>
        <strong>{reason}</strong>: {printable(message)}
      </p>
      {place && (
        <p>
          In the log: <Link href={place.href}>{place.name}</Link>
        </p>
      )}
      {hints.length === 0 && <p class="solve">{withCode(FAILURES[reason]?.solve ?? '')}</p>}
      {hints.length > 0 && (
        <ul class="solve">
          {hints.map((hint) => (
            <li key={hint}>{withCode(printable(hint))}</li>
          ))}
        </ul>
      )}
      {logTail.length > 0 && (
        <>
          <h4>Last lines</h4>
          <pre>{logTail.map(printable).join('\n')}</pre>
        </>
      )}
      {serialTail.length > 0 && (
        <>
          <h4>Last lines of the serial port</h4>
          <pre>{serialTail.map(printable).join('\n')}</pre>
        </>
      )}
      {events.length > 0 && (
        <>
          <h4>Events of the cluster</h4>
          <ul>
            {events.map((event) => (
              <li key={event}>{printable(event)}</li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

/** Text whose parts between backticks are code. */
function withCode(text: string) {
  return text.split('`').map((part, index) => (index % 2 === 0 ? part : <code key={part}>{part}</code>));
}
