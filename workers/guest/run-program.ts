import type { Clock } from '../../common/clock/clock.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { GuestConnection } from './guest-connection.ts';
import type { GuestLink } from './guest-link.ts';
import type { GuestLog } from './guest-log.ts';
import {
  finishStep,
  followCommand,
  guestStatus,
  keepOffset,
  prepareStep,
  type StepDirectory,
  type StepProgram,
  type StepState,
  type StepStatus,
  startStep,
  stopStep,
} from './supervisor.ts';

/** A program that is to run exactly once in the guest, whatever becomes of workers and connections. */
export interface ProgramRun {
  readonly link: GuestLink;
  /** Names the state in the guest: layer build, generation and VM. */
  readonly build: string;
  /** Index of the step. */
  readonly index: number;
  readonly program: () => Promise<StepProgram>;
  /** Counted from the program's start; null: unbounded. */
  readonly timeoutMs: number | null;
  /** Makes the log that goes on at a byte offset. */
  readonly openLog: (offset: number) => GuestLog;
  /** Called right before the program is started: throws when it must not be. */
  readonly beforeStart: () => Promise<void>;
  /** Called when the program runs already, started by somebody else: a worker that was lost, or has handed over. */
  readonly onAdopted?: () => void;
  readonly clock: Clock;
}

/** A guest that goes down ends its programs some seconds before its connections. */
const GOING_DOWN_MS = 10_000;
/** Exit codes above it say that a signal ended the program. */
const BY_SIGNAL = 128;

/** How a program ended. `crashed`: the guest was booted anew under it. `died`: its supervisor was killed. */
export interface ProgramEnd {
  readonly state: Extract<StepState, 'exited' | 'timeout' | 'crashed' | 'died'>;
  readonly exitCode: number | undefined;
  readonly durationMs: number;
  readonly logTail: readonly string[];
}

/**
 * Starts the program, or attaches to it when it was started before, and follows its log until it has ended. A lost
 * connection is replaced and the log goes on where it was. When this is aborted, the program runs on in the guest.
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  let log: GuestLog | undefined;
  let begun = false;
  return run.link.use(async (guest) => {
    const { directory, status, found } = await begin(run, guest);
    if (found && !begun && status.state === 'running') run.onAdopted?.();
    begun = true;
    log ??= run.openLog(status.keptBytes);
    if (status.state === 'running') await follow(run, { guest, directory, status, log });
    const { state, exitCode, elapsedMs, truncated, rest } = await finishStep(guest, directory, log.received);
    if (state === 'died' || (state === 'exited' && (exitCode ?? 0) > BY_SIGNAL)) await stillUp(guest, run.clock);
    await log.push(rest);
    if (truncated) log.note('[The rest of the output was cut off.]');
    await log.end();
    await keepOffset(guest, directory, log.received);
    assert(state !== 'running', 'A step that is no longer followed has ended.');
    return { state: state as ProgramEnd['state'], exitCode, durationMs: elapsedMs, logTail: log.tail };
  });
}

/** Resolves when the guest does not go down with what was killed in it. @throws ConnectionLost when it does */
async function stillUp(guest: GuestConnection, clock: Clock): Promise<void> {
  await clock.after(GOING_DOWN_MS, guest.lost).catch(() => undefined);
  guest.lost.throwIfAborted();
}

interface Begun {
  readonly directory: StepDirectory;
  readonly status: StepStatus;
  readonly found: boolean;
}

/** Started and not only prepared. */
async function begin(run: ProgramRun, guest: GuestConnection): Promise<Begun> {
  const { build, index } = run;
  const { steps } = await guestStatus(guest, build);
  const before = steps.get(index);
  const directory = await prepareStep(guest, build, index);
  if (before && before.state !== 'prepared') return { directory, status: before, found: true };
  const program = await run.program();
  await run.beforeStart();
  await startStep(guest, directory, program);
  const status = { state: 'running', exitCode: undefined, elapsedMs: 0, keptBytes: 0 } as const;
  return { directory, status, found: false };
}

interface Following {
  readonly guest: GuestConnection;
  readonly directory: StepDirectory;
  readonly status: StepStatus;
  readonly log: GuestLog;
}

/** Resolves when the program has ended; the last bytes of its log may be missing. */
async function follow(run: ProgramRun, { guest, directory, status, log }: Following): Promise<void> {
  const over = new AbortController();
  const { channel, exited } = await guest.open(followCommand(directory, log.received));
  channel.stderr.resume();
  log.onKept = (offset) => void (over.signal.aborted || channel.write(`${offset}\n`));
  guest.lost.addEventListener('abort', () => channel.destroy(), { signal: over.signal });
  const stopping = stopWhenLate(run, { guest, directory, status, over: over.signal });
  try {
    for await (const chunk of channel) await log.push(chunk as Buffer);
    await exited;
  } catch (error) {
    guest.lost.throwIfAborted();
    throw error;
  } finally {
    over.abort();
    log.onKept = () => {};
    await stopping;
  }
}

async function stopWhenLate(
  { timeoutMs, clock }: ProgramRun,
  { guest, directory, status, over }: Omit<Following, 'log'> & { readonly over: AbortSignal },
): Promise<void> {
  if (timeoutMs === null) return;
  try {
    await clock.after(Math.max(0, timeoutMs - status.elapsedMs), over);
  } catch {
    return;
  }
  // When the connection breaks here, the next one finds the time over again.
  await stopStep(guest, directory).catch(() => {});
}
