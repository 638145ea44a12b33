import type { Plan } from '../../common/contracts/plans.ts';
import { printable } from '../../common/text/printable.ts';
import { paint, printNote } from './print.ts';

const MAX_NOTED = 20;

/** Prints the action for each module of a build and its reason; only the beginning of a long plan, `slipway plan` shows all of it. */
export function notePlan({ modules, warnings }: Plan): void {
  for (const { name, action, why } of modules.slice(0, MAX_NOTED)) printNote(printable(`${name}: ${action} (${why})`));
  if (modules.length > MAX_NOTED) printNote(`and ${modules.length - MAX_NOTED} more modules: slipway plan shows all`);
  for (const warning of warnings) printNote(`${paint('yellow', 'warning:', process.stderr)} ${printable(warning)}`);
}
