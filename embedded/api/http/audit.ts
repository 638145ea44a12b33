import { createWriteStream, type WriteStream } from 'node:fs';
import type { Logger } from '../../../common/logging/logger.ts';

/** One answered request, in the terms of access rules. */
export interface AuditRecord {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** Parts after the name, joined with `/`; empty for the resource itself. */
  readonly subresource: string;
  readonly namespace: string;
  /** HTTP status. */
  readonly code: number;
  readonly durationMs: number;
  readonly userAgent: string;
}

/** Records every request for a resource: at debug level in the log and, when a file is named, as one JSON line in it. */
export class Audit {
  readonly #logger: Logger;
  readonly #file: WriteStream | undefined;

  constructor(logger: Logger, path: string | undefined) {
    this.#logger = logger;
    this.#file = path === undefined ? undefined : createWriteStream(path, { flags: 'a', mode: 0o600 });
    this.#file?.on('error', (error) => logger.error({ err: error }, 'The audit log cannot be written'));
  }

  record(record: AuditRecord): void {
    this.#logger.debug(record, 'Answered a request');
    this.#file?.write(`${JSON.stringify(record)}\n`);
  }

  /** Waits until everything is written. */
  async close(): Promise<void> {
    const file = this.#file;
    if (file) await new Promise<void>((resolve) => file.end(() => resolve()));
  }
}
