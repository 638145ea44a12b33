import { parentPort, workerData } from 'node:worker_threads';
import { assert, errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { FileAnswer } from './file-thread.ts';
import { type FileTask, makeFile } from './make-file.ts';

/*
 * A thread of the scheduler for one export. Each 64 MiB that pass through buffers make V8 collect the whole heap of a thread:
 * this one has next to nothing in it, and the scheduler's own is large.
 */
const port = parentPort;
assert(port, 'The export thread is started by the scheduler.');
const answer = (message: FileAnswer) => port.postMessage(message);
const stop = new AbortController();
port.once('message', () => stop.abort(new Error('The scheduler stops.')));
let percent = 0;
const onProgress = (now: number) => {
  if (now !== percent) answer({ percent: now });
  percent = now;
};
try {
  answer({ sha256: await makeFile(workerData as FileTask, { signal: stop.signal, onProgress }) });
} catch (error) {
  answer({
    error: { code: error instanceof FarmError ? error.code : 'BrokenInvariant', message: errorMessage(error) },
  });
}
port.close();
