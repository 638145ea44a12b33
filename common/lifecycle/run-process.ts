import type { Logger } from '../logging/logger.ts';
import { ReleaseStack } from './release-stack.ts';

/** Body of a process; `signal` is aborted when the process is asked to stop. */
export type ProcessBody = (resources: ReleaseStack, signal: AbortSignal) => Promise<void>;

/**
 * The frame of every process of the farm: runs `body`, waits for SIGTERM, SIGINT or SIGHUP (a second one ends at once), releases
 * everything in reverse order and exits with 0, or with 1 when the body or a release failed.
 * `body` returns when the process is up; its resources stay open until the signal.
 */
export async function runProcess(logger: Logger, body: ProcessBody): Promise<void> {
  const resources = new ReleaseStack();
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) =>
    stop.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  const onSignal = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(1);
    logger.info({ signal }, 'Stopping');
    stop.abort(new Error(`The process received ${signal}.`));
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal);
  let exitCode = 0;
  try {
    await body(resources, stop.signal);
    await stopped;
  } catch (error) {
    if (!stop.signal.aborted) {
      exitCode = 1;
      logger.fatal({ err: error }, 'The process ends with an error');
    }
  }
  try {
    await resources.close();
  } catch (error) {
    exitCode = 1;
    logger.error({ err: error }, 'Some resources were not released');
  }
  process.exit(exitCode);
}
