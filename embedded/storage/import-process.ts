import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { programCommand } from '../../common/config/package-root.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { type Confinement, type Confiner, programFiles } from '../host/confinement.ts';
import { sendSignal } from '../host/processes.ts';
import { ImportError } from './import-error.ts';
import type { ImportMessage, ImportPlan } from './import-plan.ts';

/** Bytes of all messages; a regular import sends far less. */
const MOST_HEARD = 16 * 1024 ** 2;
/** Characters of a message that are kept: the process may be compromised. */
const MOST_OUTPUT = 2_000;
const REASONS = ['Error', 'ChecksumError', 'ImagePullFailed'] as const;

type Outcome = Extract<ImportMessage, { event: 'done' | 'failed' }>;

/** Called as an import continues. */
export interface ImportListener {
  /** When the source has answered with a file. */
  readonly onOpened: () => void;
  /** With 0 to 1 as bytes arrive. */
  readonly onProgress: (share: number) => void;
  /** When it needs no network any more. */
  readonly onDownloaded: () => void;
}

/** The process of an import, which is confined and not trusted. It waits for its plan, carries it out, and ends. */
export class ImportProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #errorOutput = '';

  constructor(confiner: Confiner, confinement: Pick<Confinement, 'user' | 'directory' | 'limits'>) {
    const authorities = process.env['NODE_EXTRA_CA_CERTS'];
    const [command = '', ...args] = confiner.command(programCommand('embedded/storage/import-main'), {
      ...confinement,
      hasNetwork: false,
      readable: [...programFiles(), ...(authorities ? [authorities] : [])],
      environment: authorities ? { NODE_EXTRA_CA_CERTS: authorities } : {},
      endsWithServer: true,
    });
    this.#child = spawn(command, args, { cwd: confinement.directory, stdio: 'pipe', detached: true });
    this.#child.stderr?.on('data', (chunk) => {
      this.#errorOutput = `${this.#errorOutput}${chunk}`.slice(-MOST_OUTPUT);
    });
    // One that ends before it has read its plan is judged by how it ended.
    this.#child.stdin?.on('error', () => {});
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(errorMessage(error)));
      this.#child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
    });
  }

  /** @throws ImportError with its message, or its exit status */
  async run(plan: ImportPlan, { onDownloaded, ...listener }: ImportListener): Promise<void> {
    const { stdin, stdout } = this.#child;
    stdin?.write(`${JSON.stringify(plan)}\n`);
    const outcome = await hear(stdout, {
      ...listener,
      onDownloaded: () => {
        onDownloaded();
        stdin?.end();
      },
    });
    // Its output after the last message is ignored.
    await this.kill();
    if (outcome?.event === 'done') return;
    if (outcome) throw new ImportError(outcome.reason, outcome.message);
    const words = this.#errorOutput.trim().split('\n').at(-1);
    throw new ImportError('Error', `The importer crashed: ${await this.#ended}${words ? `: ${words}` : ''}`);
  }

  /**
   * Ends it, and resolves when it is gone. By its group: while its confinement is being set up, the inner process does not end with the one that
   * is around it.
   */
  async kill(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) sendSignal(-pid, 'SIGKILL');
    await this.#ended;
  }
}

/** The last word of an import; undefined when it ends without one. */
async function hear(stdout: Readable | null, listener: ImportListener): Promise<Outcome | undefined> {
  let pending = '';
  let heard = 0;
  for await (const chunk of stdout ?? []) {
    heard += chunk.length;
    if (heard > MOST_HEARD) return { event: 'failed', reason: 'Error', message: 'The importer reported too much' };
    const lines = `${pending}${chunk}`.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) {
      const message = readMessage(line);
      if (message?.event === 'opened') listener.onOpened();
      else if (message?.event === 'progress') listener.onProgress(message.share);
      else if (message?.event === 'downloaded') listener.onDownloaded();
      else if (message) return message;
    }
  }
  return undefined;
}

/** Undefined for invalid messages: none is trusted. */
function readMessage(line: string): ImportMessage | undefined {
  try {
    const errorOutput = JSON.parse(line) as Partial<Record<string, unknown>> | null;
    const event = errorOutput?.['event'];
    if (event === 'done' || event === 'opened' || event === 'downloaded') return { event };
    if (event === 'progress') return { event, share: Number(errorOutput?.['share']) || 0 };
    if (event !== 'failed') return undefined;
    const reason = REASONS.find((known) => known === errorOutput?.['reason']) ?? 'Error';
    return { event, reason, message: String(errorOutput?.['message']).slice(0, MOST_OUTPUT) };
  } catch {
    return undefined;
  }
}
