import { Worker } from 'node:worker_threads';
import { packagePath } from '../../common/config/package-root.ts';
import type { ErrorCode } from '../../common/errors/error-table.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FileTask, FileWork } from './make-file.ts';

/** What the thread reports: error classes do not survive the transfer between threads. */
export type FileAnswer =
  | { readonly percent: number }
  | { readonly sha256: string }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };

/** `makeFile` in a thread of its own, so that the scheduler's is free for its probes, leases and dispatches. @throws as `makeFile` */
export async function makeFileInThread(task: FileTask, { signal, onProgress }: FileWork): Promise<string> {
  signal.throwIfAborted();
  const thread = new Worker(packagePath('dist', 'scheduler', 'exports', 'export-thread.js'), { workerData: task });
  const stop = () => thread.postMessage('stop');
  signal.addEventListener('abort', stop);
  try {
    return await new Promise((resolve, reject) => {
      thread.on('error', reject);
      thread.on('exit', (code) => reject(new Error(`The thread of the export ended with code ${code}`)));
      thread.on('message', (answer: FileAnswer) => {
        if ('percent' in answer) onProgress(answer.percent);
        else if ('sha256' in answer) resolve(answer.sha256);
        else reject(signal.aborted ? signal.reason : new FarmError(answer.error.code, answer.error.message));
      });
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
