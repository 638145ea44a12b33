import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { FarmError } from '../../common/errors/farm-error.ts';

/** An asynchronous event of QEMU, such as SHUTDOWN, STOP, RESUME, RESET. */
export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

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
    socket.on('error', () => {}); // 'close' follows and says it all.
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => this.#receive(line));
    lines.on('error', () => {}); // The socket's own error, once more.
  }

  /** Connects to the unix socket and leaves the negotiation mode. */
  static async open(path: string): Promise<QmpClient> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => reject(new FarmError('ConnectionLost', 'QEMU does not answer', { cause })));
    });
    const client = new QmpClient(socket);
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

  /** Ends the connection; QEMU goes on. */
  close(): void {
    this.#socket.destroy();
  }

  #receive(line: string): void {
    const message = JSON.parse(line) as QmpAnswer & Partial<QmpEvent>;
    if (message.event !== undefined) {
      this.#events.emit('event', { event: message.event, ...(message.data ? { data: message.data } : {}) });
      return;
    }
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (message.id === undefined || !waiting) return;
    this.#waiting.delete(message.id);
    if (message.error) waiting.reject(new FarmError('BrokenInvariant', `QEMU refused: ${message.error.desc}`));
    else waiting.resolve(message.return);
  }
}

function lost(): FarmError {
  return new FarmError('ConnectionLost', 'The QEMU process has ended');
}
