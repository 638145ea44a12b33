import { ageOf } from '../../../common/text/durations.ts';
import { farmNow } from '../api/client.ts';

/** How long ago something was, with the exact time on demand. `at`: milliseconds since the Unix epoch. */
export function Age({ at }: { readonly at: number }) {
  const time = new Date(at);
  return (
    <time dateTime={time.toISOString()} title={time.toLocaleString()}>
      {ageOf(farmNow() - at)}
    </time>
  );
}
