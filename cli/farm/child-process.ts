import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemClock } from '../../common/clock/clock.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { seconds } from '../../common/text/durations.ts';
import { errorCodeOf, readableLine } from './log-tail.ts';

/** Start of one process of the farm, and its ready line. */
export interface ChildSpec {
  /** e.g. `redis`, `scheduler`, `provision-1`; names its log file. */
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly environment: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Reads a line of standard output; a value means ready. */
  readonly readReady: (line: string) => Record<string, unknown> | undefined;
}

const READY_MS = 60_000;
const STOP_MS = 20_000;
const KEPT_LINES = 5;

/** Reads the line `{"event":"ready",…}` that every process of the farm prints. */
export function readReadyEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{"event":"ready"')) return undefined;
  return JSON.parse(line);
}

/** One running process of the farm. */
export class FarmChild {
  readonly name: string;
  readonly #process: ChildProcess;
  /** Resolves when the process has ended, however, and its log is written. */
  readonly ended: Promise<void>;
  /** The fields of its ready line. @throws as `waitForLine` */
  readonly ready: Promise<Record<string, unknown>>;

  constructor(spec: ChildSpec) {
    this.name = spec.name;
    // In a session of its own: Ctrl-C is for `up`, which ends the others in their order. When `up` is killed it ends too:
    // no process would restart it, or end it before another `up`.
    const args = ['--pdeathsig', 'KILL', ...spec.command];
    this.#process = spawn('setpriv', args, {
      env: spec.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const log = createWriteStream(spec.logFile, { flags: 'a', mode: 0o600 });
    this.#process.stdout?.pipe(log, { end: false });
    this.#process.stderr?.pipe(log, { end: false });
    const closeLog = () => new Promise<void>((resolve) => log.end(() => resolve()));
    this.ended = once(this.#process, 'close').then(closeLog, closeLog);
    this.ready = waitForLine(this.#process, spec.readReady, { ...spec, readyMs: READY_MS });
    this.ready.catch(() => {});
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Asks the process to end, and makes it after a while. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGTERM');
    const giveUp = new AbortController();
    const late = systemClock.after(STOP_MS, giveUp.signal).then(
      () => this.#process.kill('SIGKILL'),
      () => false,
    );
    await this.ended;
    giveUp.abort();
    await late;
  }
}

/** Whose start is waited for. */
export interface Awaited {
  readonly name: string;
  readonly logFile: string;
  readonly readyMs: number;
}

/**
 * Reads a process's standard output until `read` makes something of a line.
 * @throws FarmNotStarted when the process ends before, or takes too long: its name, how it ended, its log and what is
 * at the end of it. `details.code` is the code of the error that it logged, e.g. `EADDRINUSE`
 */
export async function waitForLine<T>(
  child: ChildProcess,
  read: (line: string) => T | undefined,
  awaited: Awaited,
): Promise<T> {
  const tail: string[] = [];
  const remember = (line: string) => {
    tail.push(line);
    if (tail.length > KEPT_LINES) tail.shift();
  };
  const fail = (what: string): never => {
    throw notStarted(awaited, what, tail);
  };
  if (!child.stdout) return fail('has no standard output');
  if (child.stderr) createInterface(child.stderr).on('line', remember);
  const lines = createInterface(child.stdout);
  const found = new Promise<T>((resolve) => {
    lines.on('line', (line) => {
      remember(line);
      const value = read(line);
      if (value !== undefined) resolve(value);
    });
  });
  const over = new AbortController();
  const gone = once(child, 'close', { signal: over.signal }).then(
    ([code, signal]) => fail(`${describeEnd(code, signal)} before it was ready`),
    (error) => fail(`could not be started: ${errorMessage(error)}`),
  );
  const late = systemClock
    .after(awaited.readyMs, over.signal)
    .then(() => fail(`was not ready within ${seconds(awaited.readyMs)}`));
  try {
    return await Promise.race([found, gone, late]);
  } finally {
    over.abort();
    for (const loser of [gone, late]) loser.catch(() => {});
  }
}

function notStarted({ name, logFile }: Awaited, what: string, tail: readonly string[]): FarmError {
  const lastLines =
    tail.length > 0 ? ` Its last output:\n${tail.map((line) => `  ${readableLine(line)}`).join('\n')}\n` : ' ';
  const message = `The process ${name} ${what}.${lastLines}Its log is ${logFile}`;
  return new FarmError('FarmNotStarted', message, { details: { code: tail.map(errorCodeOf).findLast(Boolean) } });
}

function describeEnd(code: number | null, signal: string | null): string {
  return signal === null ? `exited with ${code}` : `was ended by ${signal}`;
}
