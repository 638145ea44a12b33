import { ERRORS } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { printable } from '../../common/text/printable.ts';
import { paint, printNote } from './print.ts';

/** Ends the program with 1 and a sentence; what to do about it follows. Never a stack trace. */
export function reportFailure(error: unknown): void {
  const sentence = errorMessage(error).split('\n').map(printable).join('\n');
  printNote(`${paint('red', 'error:', process.stderr)} ${sentence}`);
  if (error instanceof FarmError) printNote(ERRORS[error.code].solve);
  process.exitCode = 1;
}

/** A reader that closes its end early (`| head`) is no failure. */
export function survivePipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  });
}
