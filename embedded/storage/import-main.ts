import { createInterface } from 'node:readline';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { download } from './download.ts';
import { watchRoom } from './free-space.ts';
import { ImportError } from './import-error.ts';
import type { ImportMessage, ImportPlan } from './import-plan.ts';

/*
 * An import as a process of its own, confined to the directory that it starts in: an attack by its input ends here.
 * Its plan comes by standard input, because it holds credentials.
 */
const PROGRESS_INTERVAL_MS = 100;

const controller = new AbortController();
watchRoom('.', controller);
const outcome = await run(controller.signal);
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit());

async function run(signal: AbortSignal): Promise<ImportMessage> {
  try {
    const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    const plan = JSON.parse((await input.next()).value) as ImportPlan;
    // Needed later: loaded while the source is being asked.
    const later = import('./convert.ts');
    await download(plan, { onOpened: () => send({ event: 'opened' }), onProgress: reportShare(), signal });
    send({ event: 'downloaded' });
    // It ends when the way out is closed.
    await input.next();
    await (await later).convert(plan, signal);
    return { event: 'done' };
  } catch (error) {
    const cause = signal.aborted ? signal.reason : error;
    const reason = cause instanceof ImportError ? cause.reason : 'Error';
    return { event: 'failed', reason, message: errorMessage(cause) };
  }
}

function reportShare(): (share: number) => void {
  let reportedAt = 0;
  return (share) => {
    const now = performance.now();
    if (now - reportedAt < PROGRESS_INTERVAL_MS && share < 1) return;
    reportedAt = now;
    send({ event: 'progress', share });
  };
}

function send(message: ImportMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
