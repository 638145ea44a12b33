import type { Wait } from '../../../common/contracts/waiting.ts';
import { seconds } from '../../../common/text/durations.ts';
import { useResource } from '../api/use-resource.ts';

const EVERY_MS = 10_000;
/** More are counted. */
const SHOWN = 20;

/** The waits of a build's modules, their places, and expected times. */
export function Waits({ buildId, now }: { readonly buildId: string; readonly now: number }) {
  const { value } = useResource('explainBuild', { params: { id: buildId } }, EVERY_MS);
  const waits = value?.waits ?? [];
  if (waits.length === 0) return null;
  return (
    <details class="waits">
      <summary>{waits.length} waiting, and why</summary>
      <ul>
        {waits.slice(0, SHOWN).map((wait) => (
          <li key={`${wait.module}/${wait.vm}/${wait.kind}`}>
            <strong>{wait.vm === null ? wait.module : `${wait.module}/${wait.vm}`}</strong> waits for {wait.why}
            {placeOf(wait)}
            {wait.expectedAt !== null && `, expected in ${seconds(Math.max(0, wait.expectedAt - now))}`}
          </li>
        ))}
        {waits.length > SHOWN && (
          <li>
            and {waits.length - SHOWN} more: slipway ps {buildId} --why
          </li>
        )}
      </ul>
    </details>
  );
}

function placeOf({ position, of }: Wait): string {
  return position === null ? '' : `; place ${position} of ${of}`;
}
