import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { type AnyAuthMethod, Client, type ClientChannel, type ConnectConfig } from 'ssh2';
import { assert, errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { GuestShell } from './guest-shell.ts';
import { quote } from './shell-words.ts';

/** How the farm logs in. Keys first, then password. */
export interface GuestCredentials {
  readonly username: string;
  /** PEM or OpenSSH format, in the order in which they are tried. */
  readonly privateKeys: readonly string[];
  readonly password: string | undefined;
}

export interface ConnectionOptions {
  /** Bytes to the guest's SSH port; the connection owns and destroys it. */
  readonly stream: Duplex;
  readonly credentials: GuestCredentials;
  /** SHA-256 of the host keys of which the guest must show one, in hexadecimal; undefined: any. */
  readonly hostKeys: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

/** Result of a command in the guest. */
export interface ExecResult {
  readonly exitCode: number;
  /** Its output on both streams, the first MiB of it. */
  readonly output: string;
}

/** A command that runs in the guest. */
export interface GuestCommand {
  readonly channel: ClientChannel;
  /** Its exit code, null after a signal; rejects with ConnectionLost. */
  readonly exited: Promise<number | null>;
}

/** From connecting to being logged in; TCG guests need some seconds for the key exchange. */
const LOGIN_MS = 20_000;
const KEEP_ALIVE_MS = 5_000;
/** Unanswered keep-alives after which the guest counts as gone. */
const KEEP_ALIVES = 3;

/**
 * Logs into a guest.
 * @throws ConnectionLost with `details.level`: `client-authentication` when the guest refused the credentials.
 */
export async function openGuestConnection(options: ConnectionOptions): Promise<GuestConnection> {
  const { signal, stream } = options;
  const client = new Client();
  const seen = { hostKey: '' };
  const abandon = () => stream.destroy(new Error('given up'));
  signal.addEventListener('abort', abandon, { once: true });
  try {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      // A listener stays permanently: an error event without one would end the process.
      client.on('error', (error) => reject(connectionLost(error)));
      client.on('close', () => reject(connectionLost(new Error('closed by the guest'))));
      client.on('ready', () => resolve());
      client.connect(connectConfig(options, seen));
    });
  } catch (error) {
    client.destroy();
    stream.destroy();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
  return await GuestConnection.start(client, stream, seen.hostKey);
}

function connectConfig({ stream, credentials, hostKeys }: ConnectionOptions, seen: { hostKey: string }): ConnectConfig {
  return {
    sock: stream,
    username: credentials.username,
    authHandler: authMethods(credentials),
    readyTimeout: LOGIN_MS,
    keepaliveInterval: KEEP_ALIVE_MS,
    keepaliveCountMax: KEEP_ALIVES,
    hostVerifier: (key: Buffer) => {
      seen.hostKey = hostKeyHash(key);
      return hostKeys === undefined || hostKeys.includes(seen.hostKey);
    },
  };
}

/** Fingerprint by which a host key is pinned. @param key as in RFC 4253, or that in Base64 */
export function hostKeyHash(key: Buffer | string): string {
  return createHash('sha256')
    .update(typeof key === 'string' ? Buffer.from(key, 'base64') : key)
    .digest('hex');
}

function authMethods({ username, privateKeys, password }: GuestCredentials): AnyAuthMethod[] {
  const keys = privateKeys.map((key): AnyAuthMethod => ({ type: 'publickey', username, key }));
  if (password === undefined) return keys;
  const prompt: Extract<AnyAuthMethod, { type: 'keyboard-interactive' }>['prompt'] = (
    _name,
    _text,
    _language,
    asked,
    answer,
  ) => answer(asked.map(() => password));
  return [...keys, { type: 'password', username, password }, { type: 'keyboard-interactive', username, prompt }];
}

function connectionLost(error: Error): FarmError {
  const level = 'level' in error ? String(error.level) : 'client-socket';
  return new FarmError('ConnectionLost', `SSH: ${errorMessage(error)}`, { cause: error, details: { level } });
}

/** An SSH session with a guest. Every method throws ConnectionLost when it breaks. */
export class GuestConnection {
  readonly client: Client;
  /** SHA-256 of the host key, in hexadecimal. */
  readonly hostKey: string;
  readonly #lost = new AbortController();
  #shell: GuestShell | undefined;

  private constructor(client: Client, stream: Duplex, hostKey: string) {
    this.client = client;
    this.hostKey = hostKey;
    const lose = (error: Error) => {
      if (!this.lost.aborted) this.#lost.abort(connectionLost(error));
    };
    client.on('error', lose);
    client.on('close', () => lose(new Error('the connection to the guest was closed')));
    stream.on('close', () => {
      lose(new Error('the connection to the guest was closed'));
      client.destroy();
    });
  }

  /** @throws ConnectionLost, or PhaseFailure GuestNeverAnswered: the guest runs no commands for this user */
  static async start(client: Client, stream: Duplex, hostKey: string): Promise<GuestConnection> {
    const connection = new GuestConnection(client, stream, hostKey);
    try {
      const { channel } = await connection.open('exec sh');
      connection.#shell = await GuestShell.start(channel);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The shell of this connection, open as long as it is. */
  get shell(): GuestShell {
    assert(this.#shell, 'A connection that was given out has a shell.');
    return this.#shell;
  }

  /** Aborted, with ConnectionLost as its reason, when the connection is over, by `close` too. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  close(): void {
    this.client.end();
    this.client.destroy();
  }

  /** Ends the connection without a farewell: a guest that stands still answers none. */
  abandon(): void {
    this.client.destroy();
  }

  /** Runs a command of `sh` to its end, in the environment of the user's login. Its input is empty. */
  async exec(command: string): Promise<ExecResult> {
    const { words, output } = await this.shell.ask(`(eval ${quote(command)})\nanswer done $?`);
    return { exitCode: Number(words[1]), output };
  }

  /**
   * Starts a command of the login shell, on a channel of its own; read both outputs, or it never ends. The start files of
   * the shell may print there too.
   */
  open(command: string): Promise<GuestCommand> {
    // A short command's end may arrive together with its beginning: listen before anything else is read.
    return this.call((done) =>
      this.client.exec(command, (error, channel) =>
        error ? done(error, undefined as never) : done(undefined, { channel, exited: this.#exited(channel) }),
      ),
    );
  }

  #exited(channel: ClientChannel): Promise<number | null> {
    const exited = this.untilLost<number | null>((resolve, reject) => {
      let exitCode: number | null | undefined;
      channel.on('exit', (code: number | null) => {
        exitCode = code;
      });
      channel.on('error', reject);
      channel.on('close', () => {
        if (exitCode === undefined) reject(connectionLost(new Error('the command ended without an exit code')));
        else resolve(exitCode);
      });
    });
    exited.catch(() => {});
    return exited;
  }

  /** Turns a call of ssh2 with a callback into a promise that ends with the connection. */
  call<T>(start: (done: (error: Error | null | undefined, value: T) => void) => unknown): Promise<T> {
    return this.untilLost((resolve, reject) => {
      try {
        start((error, value) => (error ? reject(this.lost.aborted ? this.lost.reason : error) : resolve(value)));
      } catch (error) {
        reject(connectionLost(error instanceof Error ? error : new Error(String(error))));
      }
    });
  }

  /** A promise that also rejects when the connection is lost. */
  async untilLost<T>(start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    this.lost.throwIfAborted();
    const settled = new AbortController();
    try {
      return await new Promise<T>((resolve, reject) => {
        this.lost.addEventListener('abort', () => reject(this.lost.reason), { signal: settled.signal });
        start(resolve, reject);
      });
    } finally {
      settled.abort();
    }
  }
}
