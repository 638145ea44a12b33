import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { packagePath } from '../../common/config/package-root.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { ApiError } from '../api/api-error.ts';
import { asApiError } from '../api/http/exchange.ts';
import { serverUrl } from '../api/server-url.ts';
import type { ServerIdentity } from '../api/subresources/machine-access.ts';
import type { ExportedDisk, ExportQuestion, ThreadAnswer, ThreadIdentity, ThreadReport } from './export-messages.ts';

/**
 * Pieces of disks are garbage before a young generation of this size is full. With a larger one, which is taken out of what the
 * small heap may have, each 10 MiB of a disk would cost a look at all of it.
 */
const HEAP = { maxYoungGenerationSizeMb: 6 };

/** Dependencies of the server. */
export interface ExportServerOptions {
  readonly identity: Pick<ServerIdentity, 'host' | 'key' | 'certificate'>;
  /** Where it listened before: who reads there continues. 0: nowhere. */
  readonly lastPort: number;
  /** The disk that a token may read. @throws ApiError 401 with another token, 404 when it does not exist */
  find(question: ExportQuestion): Promise<ExportedDisk>;
  readonly logger: Logger;
}

/**
 * Serves exported disks on a port and in a thread of its own, as pods of KubeVirt do. Each 64 MiB that pass through buffers
 * make V8 collect the whole heap of their thread: this one has next to nothing in it, and that of the API server is large.
 */
export class ExportServer {
  readonly #options: ExportServerOptions;
  #thread: Worker | undefined;
  #port: Promise<number>;
  #isClosed = false;

  constructor(options: ExportServerOptions) {
    this.#options = options;
    this.#port = this.#start([options.lastPort, 0]);
  }

  /** Its address, once it listens. */
  async url(): Promise<string> {
    return serverUrl(this.#options.identity.host, await this.#port);
  }

  /** Ends all transfers. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = this.#thread;
    if (!thread) return;
    const ended = once(thread, 'exit');
    thread.postMessage('stop');
    await ended;
  }

  /** Starts the thread, and another one at the same port when it ends by itself: its transfers continue there. */
  #start(ports: readonly number[]): Promise<number> {
    const { identity, logger } = this.#options;
    const { host, key, certificate } = identity;
    const workerData: ThreadIdentity = { host, key, certificate, ports };
    const file = packagePath('dist', 'embedded', 'exports', 'export-thread.js');
    const thread = new Worker(file, { workerData, resourceLimits: HEAP });
    this.#thread = thread;
    thread.on('error', (error) => logger.error({ err: error }, 'The thread of the exports has failed'));
    thread.once('exit', async () => {
      this.#thread = undefined;
      const port = await this.#port;
      if (!this.#isClosed) this.#port = this.#start([port, 0]);
    });
    return new Promise((resolve) => {
      thread.on('message', async (report: ThreadReport) => {
        if ('port' in report) resolve(report.port);
        else if ('question' in report) report.reply.postMessage(await this.#answer(report.question));
        else logger.error({ err: report.failure, path: report.path }, 'An export failed');
      });
    });
  }

  async #answer(question: ExportQuestion): Promise<ThreadAnswer> {
    try {
      return { disk: await this.#options.find(question) };
    } catch (error) {
      if (!(error instanceof ApiError)) this.#options.logger.error({ err: error }, 'An export could not be looked up');
      const { code, reason, message } = asApiError(error);
      return { refusal: { code, reason, message } };
    }
  }
}
