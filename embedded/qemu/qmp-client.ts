import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { FarmError } from '../../common/errors/farm-error.ts';
import { connectShared } from '../host/shared-directory.ts';

/** An asynchronous event of QEMU, such as SHUTDOWN, STOP, RESUME, RESET. */
export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** QEMU's longest answers have some KiB. A compromised process may send anything. */
const LONGEST_LINE = 16 * 1024 ** 2;

interface QmpAnswer {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A connection to QEMU's machine protocol (QEMU's docs/interop/qmp-spec.txt): commands in order, events as they come.
 * The end of the connection is the end of the process: `closed` resolves then, and waiting commands reject with
 * `ConnectionLost`.
 */
export class QmpClient {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #events = new EventEmitter<{ event: [QmpEvent] }>();
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isClosed = true;
        for (const { reject } of this.#waiting.values()) reject(lost());
        this.#waiting.clear();
        resolve();
      });
    });
    socket.on('error', () => {}); // 'close' follows and is handled.
    let pending = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${pending}${text}`.split('\n');
      pending = lines.pop() ?? '';
      if (pending.length > LONGEST_LINE || !lines.every((line) => this.#receive(line))) socket.destroy();
    });
  }

  /** Connects to the unix socket and leaves the negotiation mode. The signal ends the connection, also later. */
  static async open(path: string, signal?: AbortSignal): Promise<QmpClient> {
    const client = new QmpClient(await connectShared(path));
    signal?.addEventListener('abort', () => client.close(), { once: true });
    if (signal?.aborted) client.close();
    await client.execute('qmp_capabilities');
    return client;
  }

  onEvent(listener: (event: QmpEvent) => void): void {
    this.#events.on('event', listener);
  }

  /** Runs one command; rejects with QEMU's own description when it refuses. */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(lost());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, id, ...(args ? { arguments: args } : {}) })}\n`);
    });
  }

  /** Ends the connection; QEMU continues. */
  close(): void {
    this.#socket.destroy();
  }

  /** False for errors that are not QEMU's. */
  #receive(line: string): boolean {
    const message = readMessage(line);
    if (!message) return false;
    if (message.event !== undefined) {
      this.#events.emit('event', { event: message.event, ...(message.data ? { data: message.data } : {}) });
      return true;
    }
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (message.id === undefined || !waiting) return true;
    this.#waiting.delete(message.id);
    if (message.error) waiting.reject(new FarmError('BrokenInvariant', `QEMU refused: ${message.error.desc}`));
    else waiting.resolve(message.return);
    return true;
  }
}

function readMessage(line: string): (QmpAnswer & Partial<QmpEvent>) | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === 'object' && message !== null ? message : undefined;
  } catch {
    return undefined;
  }
}

function lost(): FarmError {
  return new FarmError('ConnectionLost', 'The QEMU process has ended');
}
