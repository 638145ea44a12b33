import type { Wait } from '../../common/contracts/waiting.ts';
import { seconds } from '../../common/text/durations.ts';
import { printable } from '../../common/text/printable.ts';
import { printLine } from './print.ts';
import { printTable } from './table.ts';

/** Present waits of the modules of builds. */
export function printWaits(
  builds: readonly { readonly buildId: string; readonly waits: readonly Wait[] }[],
  now: number,
): void {
  const rows = builds.flatMap(({ buildId, waits }) =>
    waits.map(({ module, vm, why, since, position, of, expectedAt }) => [
      ...[buildId, vm === null ? module : `${module}/${vm}`, printable(why)],
      ...[since === null ? '' : seconds(now - since), position === null ? '' : `${position} of ${of}`],
      expectedAt === null ? '' : `in ${seconds(Math.max(0, expectedAt - now))}`,
    ]),
  );
  if (rows.length === 0) printLine('No module is waiting.');
  else printTable(['build', 'module', 'waits for', 'since', 'place', 'expected'], rows);
}
