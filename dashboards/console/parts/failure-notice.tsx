import { FAILURES } from '../../../common/contracts/failure-table.ts';
import type { Failure } from '../../../common/contracts/failures.ts';
import { printable } from '../../../common/text/printable.ts';

/** Why something could not be built, what to do, and the evidence. Texts of guests are shown as text, cleaned. */
export function FailureNotice({ failure }: { readonly failure: Failure }) {
  const { reason, message, events, logTail } = failure;
  return (
    <div class="notice bad failure">
      <p>
        <strong>{reason}</strong>: {printable(message)}
      </p>
      <p class="solve">{withCode(FAILURES[reason]?.solve ?? '')}</p>
      {logTail.length > 0 && (
        <>
          <h4>Last lines</h4>
          <pre>{logTail.map(printable).join('\n')}</pre>
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
