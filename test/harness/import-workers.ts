import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';

/** A worker process for imports whose executor does nothing; see `import-worker-process.ts`. */
export interface ImportWorker {
  readonly process: ChildProcess;
  /** The next line that it printed. */
  line(): Promise<string | undefined>;
}

/** Resolves when it takes jobs; it is killed with `resources`. */
export async function startImportWorker(
  resources: ReleaseStack,
  redisUrl: string,
  script: 'hang' | 'succeed',
): Promise<ImportWorker> {
  const main = fileURLToPath(new URL('./import-worker-process.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', main, redisUrl, script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  resources.defer('worker process', () => void child.kill('SIGKILL'));
  const reader = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => (await reader.next()).value as string | undefined;
  const first = await line();
  if (first !== 'ready') throw new Error(`A worker process printed "${first}" instead of "ready".`);
  return { process: child, line };
}
