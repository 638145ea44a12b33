import { errorMessage, FarmError, solveOf } from '../../common/errors/farm-error.ts';
import { printable } from '../../common/text/printable.ts';
import { paint, printNote } from './print.ts';

/** Ends the program with 1, the message and the remedy. Never prints a stack trace. */
export function reportFailure(error: unknown): void {
  const sentence = errorMessage(error).split('\n').map(printable).join('\n');
  printNote(`${paint('red', 'error:', process.stderr)} ${sentence}`);
  // For a wrong command line the message is sufficient.
  const solve = error instanceof FarmError && error.code !== 'InvalidRequest' ? solveOf(error) : '';
  if (solve !== '') printNote(printable(solve));
  process.exitCode = 1;
}

/** A reader that closes its end early (`| head`) is not a failure. */
export function survivePipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  });
}
