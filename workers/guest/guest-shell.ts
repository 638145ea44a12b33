import { randomBytes } from 'node:crypto';
import type { ClientChannel } from 'ssh2';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { ShellFrames } from './shell-frames.ts';

/** Result of a request. */
export interface ShellAnswer {
  /** Words of the answer. */
  readonly words: readonly string[];
  /** Other output, both streams in one, the first MiB of it. */
  readonly output: string;
}

/** Receives the output of a request; the next bytes come when it resolves. */
export type OutputReader = (bytes: Buffer) => Promise<void> | void;

interface Waiting {
  readonly take: OutputReader;
  readonly resolve: (answer: string) => void;
  readonly reject: (error: unknown) => void;
}

/** A login shell that starts no `sh` by then is stuck in its start files. */
const START_MS = 60_000;
const MOST_OUTPUT = 1024 * 1024;
/** Output of guests that accept a login but never run commands. */
const SHUT =
  /password change required|password (has )?expired|change your password|account (has )?expired|account is currently not available|permission denied/i;

/**
 * A shell of the guest that stays open as long as the connection and takes one request after the other. The login shell
 * of the user, whichever it is, is only asked to become `sh`; the output of its start files is ignored, because every
 * answer carries a mark of this shell's own.
 */
export class GuestShell {
  readonly #channel: ClientChannel;
  readonly #mark = randomBytes(16).toString('hex');
  #waiting: Waiting | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #ended: { readonly error: unknown } | undefined;

  private constructor(channel: ClientChannel) {
    this.#channel = channel;
    this.#pump().then(
      () => this.#end(new FarmError('ConnectionLost', 'The shell in the guest ended.')),
      (error: unknown) => this.#end(error),
    );
  }

  /**
   * The shell on a channel whose command is `exec sh`, when it takes requests.
   * @throws ConnectionLost when it ended before, PhaseFailure GuestNeverAnswered when it reports that it always will
   */
  static async start(channel: ClientChannel): Promise<GuestShell> {
    const shell = new GuestShell(channel);
    let output = '';
    const note = (bytes: Buffer) => {
      output = `${output}${bytes}`.slice(-4096);
    };
    channel.stderr.on('data', note);
    const late = setTimeout(() => shell.#end(new Error(`no output within ${START_MS / 1000} s`)), START_MS);
    try {
      await shell.#request(`exec 2>&1\nanswer() { printf '\\n%s %s\\n' ${shell.#mark} "$*"; }\nanswer ready\n`, note);
      return shell;
    } catch (error) {
      channel.destroy();
      throw unusable(output, error);
    } finally {
      clearTimeout(late);
    }
  }

  /** Runs code of a POSIX shell, which calls `answer` once with the words that this resolves with. One at a time. */
  async ask(code: string, onOutput?: OutputReader): Promise<ShellAnswer> {
    const chunks: Buffer[] = [];
    let size = 0;
    const keep = (bytes: Buffer) => {
      if (size < MOST_OUTPUT) chunks.push(bytes.subarray(0, MOST_OUTPUT - size));
      size += bytes.length;
    };
    const answer = await this.#request(`{ ${code}\n} </dev/null\n`, onOutput ?? keep);
    return { words: answer.split(' ').filter(Boolean), output: Buffer.concat(chunks).toString() };
  }

  /** Runs code without an answer; also while a request waits for its answer. */
  send(code: string): void {
    if (!this.#ended) this.#channel.write(`{ ${code}\n} </dev/null >/dev/null 2>&1\n`);
  }

  #request(text: string, take: OutputReader): Promise<string> {
    const answer = this.#turn.then(
      () =>
        new Promise<string>((resolve, reject) => {
          if (this.#ended) throw this.#ended.error;
          this.#waiting = { take, resolve, reject };
          this.#channel.write(text);
        }),
    );
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #pump(): Promise<void> {
    const frames = new ShellFrames(this.#mark);
    for await (const chunk of this.#channel) {
      for (const piece of frames.push(chunk as Buffer)) {
        if ('bytes' in piece) await this.#waiting?.take(piece.bytes);
        else this.#settle()?.resolve(piece.answer);
      }
    }
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #end(error: unknown): void {
    this.#ended ??= { error };
    this.#settle()?.reject(error);
  }
}

/** Not every refusal lasts: a guest that is shutting down refuses every program, too. */
function unusable(printed: string, cause: unknown): Error {
  const output = printed
    .trim()
    .split(/\s*\n\s*/)
    .slice(-5)
    .join(' ');
  const message = `SSH login succeeds, but the login shell of the guest does not run commands: ${output || errorMessage(cause)}`;
  if (SHUT.test(output)) return new PhaseFailure('GuestNeverAnswered', message, { cause });
  return new FarmError('ConnectionLost', message, { cause, details: { level: 'client-authentication' } });
}
