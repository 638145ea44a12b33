import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import type { GuestConnection } from './guest-connection.ts';
import type { GuestShell, OutputReader, ShellAnswer } from './guest-shell.ts';
import { printing, quote } from './shell-words.ts';

/** Code for the shell of the guest; its header documents each function. */
const SUPERVISOR = readFileSync(packagePath('workers/guest/supervisor.sh'), 'utf8');

/** How a step stands. `crashed`: the guest restarted under it. `died`: its runner was killed. `asked`: to reboot. */
export type StepState = 'prepared' | 'running' | 'exited' | 'timeout' | 'crashed' | 'died' | 'asked' | 'rebooted';

export interface StepStatus {
  readonly state: StepState;
  /** Exit code of the script, or of the command that asked for a reboot. */
  readonly exitCode: number | undefined;
  /** Since the script was started, on the guest's own clock. */
  readonly elapsedMs: number;
  /** How much of the log the farm has kept, in bytes. */
  readonly keptBytes: number;
}

/** Program of a step. */
export interface StepProgram {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  /** Shell command with `{{ .Command }}`; null: the script itself. */
  readonly wrapper: string | null;
}

/** How a step ended. */
export interface StepEnd {
  readonly state: StepState;
  readonly exitCode: number | undefined;
  readonly elapsedMs: number;
  /** The log was longer than its kept part. */
  readonly truncated: boolean;
  /** Public host keys that the guest has now, in Base64. */
  readonly hostKeys: readonly string[];
}

const STATUS_LINE = /^step (\d+) ([a-z]+) (\d+|-) (-?\d+) (\d+)$/gm;
/** Time that a guest may need to go down, once it has begun. */
const GOING_DOWN_MS = 120_000;
const LOADED = new WeakMap<GuestConnection, Promise<StepSupervisor>>();

/**
 * The supervisor of a build's steps, loaded once into the shell of a connection.
 * @throws ConnectionLost, or PhaseFailure GuestDiskFull or StepFailed: the guest has no room for its state
 */
export function supervisorOf(guest: GuestConnection, build: string): Promise<StepSupervisor> {
  const loaded = LOADED.get(guest) ?? StepSupervisor.load(guest, build);
  loaded.catch(() => LOADED.delete(guest));
  LOADED.set(guest, loaded);
  return loaded;
}

/** The steps of one build in one guest, over one connection. Every method throws ConnectionLost when that breaks. */
export class StepSupervisor {
  readonly bootId: string;
  /** Public host keys that the guest had when this was loaded, in Base64. */
  readonly hostKeys: readonly string[];
  readonly #shell: GuestShell;
  readonly #directory: string;
  readonly #steps: ReadonlyMap<number, StepStatus>;

  private constructor(shell: GuestShell, { words, output }: ShellAnswer) {
    const [, bootId = '', directory = '', ...hostKeys] = words;
    assert(/^[\w./-]+$/.test(directory), 'The supervisor names the directory of its steps.');
    this.bootId = bootId;
    this.hostKeys = hostKeys;
    this.#shell = shell;
    this.#directory = directory;
    this.#steps = new Map(
      [...output.matchAll(STATUS_LINE)].map(([, index, state, code, seconds, kept]) => [
        Number(index),
        {
          state: state as StepState,
          exitCode: exitCodeOf(code),
          elapsedMs: Number(seconds) * 1000,
          keptBytes: Number(kept),
        },
      ]),
    );
  }

  static async load({ shell, lost }: GuestConnection, build: string): Promise<StepSupervisor> {
    const code = `supervisor=${quote(SUPERVISOR)}\neval "$supervisor"\nload ${quote(build)} 2>&1`;
    const answer = granted(await shell.ask(code));
    if (answer.words[0] === 'leaving') {
      await once(anySignal(lost, AbortSignal.timeout(GOING_DOWN_MS)), 'abort');
      throw new FarmError('ConnectionLost', 'The guest goes down.');
    }
    return new StepSupervisor(shell, answer);
  }

  /** How a step stood when this was loaded; undefined: it was not started. */
  status(index: number): StepStatus | undefined {
    const status = this.#steps.get(index);
    return status?.state === 'prepared' ? undefined : status;
  }

  /**
   * Starts a program, detached, and reads its log to the end; a second start has no effect.
   * @returns undefined when the end of the log is still to be read by `finish`
   */
  begin(index: number, program: StepProgram, onOutput: OutputReader): Promise<StepEnd | undefined> {
    const { env, script, wrapper } = program;
    const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
    const files = `"$memory/${index}`;
    const actions = [
      `reserve ${index}`,
      `${printing(script)} >${files}.script"`,
      `{ echo "umask $login_umask" && ${printing(exports.join(''))}; } >${files}.env"`,
      ...(wrapper === null ? [] : [`${printing(this.#wrapped(index, wrapper))} >${files}.command"`]),
      `begin ${index}`,
    ];
    return this.#read(`${actions.join(' &&\n')} || answer refused`, onOutput);
  }

  /** Reads the log of a started step from an offset on. Returns as `begin`. */
  follow(index: number, offset: number, onOutput: OutputReader): Promise<StepEnd | undefined> {
    return this.#read(`follow ${index} ${offset}`, onOutput);
  }

  /** Reads how an ended step stands, and the rest of its log. */
  async finish(index: number, offset: number, onOutput: OutputReader): Promise<StepEnd> {
    const end = await this.#read(`finish ${index} ${offset}`, onOutput);
    assert(end, 'A finished step has an end.');
    return end;
  }

  /** Remembers in the guest how much of the log is stored. If that is lost, the last lines are stored twice. */
  keep(index: number, offset: number): void {
    this.#shell.send(`keep ${index} ${offset}`);
  }

  /** Removes the files of a step that has ended. */
  forget(index: number): void {
    this.#shell.send(`forget ${index}`);
  }

  /** Ends a step whose time is over: its whole process group, first by TERM, then by KILL. */
  stop(index: number): void {
    this.#shell.send(`stop ${index}`);
  }

  /** Records that a step without a process is done. */
  async mark(index: number, exitCode: number): Promise<void> {
    granted(await this.#shell.ask(`mark ${index} ${exitCode} 2>&1`));
  }

  /** Public host keys that the guest will have after a reboot, in Base64; empty: they cannot be known. */
  async nextHostKeys(): Promise<readonly string[]> {
    return (await this.#shell.ask('keys')).words.slice(1);
  }

  /** Records the boot id, then asks the guest to reboot. Resolves with the code of the command if it came back. */
  async reboot(index: number, command: string): Promise<{ readonly exitCode: number; readonly output: string }> {
    const { words, output } = granted(await this.#shell.ask(`reboot ${index} ${quote(command)} 2>&1`));
    return { exitCode: Number(words[1]), output };
  }

  /** Removes all state of the build from the guest, so that no image carries it. */
  async remove(): Promise<void> {
    granted(await this.#shell.ask('remove 2>&1'));
  }

  #wrapped(index: number, wrapper: string): string {
    const command = `sh ${this.#directory}/supervisor.sh script ${this.#directory}/${index}`;
    return `${wrapper.replaceAll(/\{\{\s*\.Command\s*\}\}/g, () => command)}\n`;
  }

  async #read(code: string, onOutput: OutputReader): Promise<StepEnd | undefined> {
    let head = Buffer.alloc(0);
    const take = (bytes: Buffer) => {
      if (head.length < 4096) head = Buffer.concat([head, bytes.subarray(0, 4096)]);
      return onOutput(bytes);
    };
    const { words } = await this.#shell.ask(code, take);
    granted({ words, output: head.toString() });
    const [answer, state, exitCode, seconds, truncated, ...hostKeys] = words;
    if (answer === 'over') return undefined;
    return {
      state: state as StepState,
      exitCode: exitCodeOf(exitCode),
      elapsedMs: Number(seconds) * 1000,
      truncated: truncated === 'yes',
      hostKeys,
    };
  }
}

function exitCodeOf(word: string | undefined): number | undefined {
  return word === undefined || word === '-' ? undefined : Number(word);
}

function granted(answer: ShellAnswer): ShellAnswer {
  if (answer.words[0] !== 'refused') return answer;
  const output = answer.output.trim();
  if (/no space left|quota exceeded|write error/i.test(output)) {
    throw new PhaseFailure('GuestDiskFull', `The guest reported: ${output}`);
  }
  throw new PhaseFailure(
    'StepFailed',
    `The guest refused to keep the state of a step: ${output || 'it gave no reason'}`,
  );
}
