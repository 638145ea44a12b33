import type { Clock } from '../../common/clock/clock.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import type { GuestConnection } from './guest-connection.ts';
import type { GuestLink } from './guest-link.ts';
import type { GuestLog } from './guest-log.ts';
import {
  type StepEnd,
  type StepProgram,
  type StepState,
  type StepStatus,
  type StepSupervisor,
  supervisorOf,
} from './supervisor.ts';

/** A program that is to run exactly once in the guest, also when workers and connections are lost. */
export interface ProgramRun {
  readonly link: GuestLink;
  /** Names the state in the guest: layer build, generation and VM. */
  readonly build: string;
  /** Index of the step. */
  readonly index: number;
  readonly program: StepProgram;
  /** Lines of the farm's own, at the head of the log. @defaultValue none */
  readonly notes?: readonly string[];
  /** Counted from the program's start; null: unbounded. */
  readonly timeoutMs: number | null;
  /** Makes the log that continues at a byte offset. */
  readonly openLog: (offset: number) => GuestLog;
  /** Called right before the program is started: throws when it must not be. */
  readonly beforeStart: () => Promise<void>;
  /** Called when the program runs already, started by a worker that was lost or has handed over. */
  readonly onAdopted?: () => void;
  readonly clock: Clock;
}

/** A guest that goes down ends its programs some seconds before its connections. */
const GOING_DOWN_MS = 10_000;
/** Exit codes above it mean that a signal ended the program. */
const BY_SIGNAL = 128;

/** How a program ended. `crashed`: the guest restarted under it. `died`: its supervisor was killed. */
export interface ProgramEnd {
  readonly state: Extract<StepState, 'exited' | 'timeout' | 'crashed' | 'died'>;
  readonly exitCode: number | undefined;
  readonly durationMs: number;
  readonly logTail: readonly string[];
}

/**
 * Starts the program, or attaches to it when it was started before, and follows its log until it has ended. A lost
 * connection is replaced and the log continues where it was. When this is aborted, the program runs on in the guest.
 */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  let log: GuestLog | undefined;
  return run.link.use(async (guest) => {
    const supervisor = await supervisorOf(guest, run.build);
    const found = supervisor.status(run.index);
    if (found?.state === 'running' && !log) run.onAdopted?.();
    if (!log) {
      log = run.openLog(found?.keptBytes ?? 0);
      if (!found) for (const note of run.notes ?? []) log.note(note);
    }
    const end = await untilEnded(run, { supervisor, log, found });
    const { state, exitCode, elapsedMs, truncated, hostKeys } = end;
    if (state === 'died' || (state === 'exited' && (exitCode ?? 0) > BY_SIGNAL)) await stillUp(guest, run.clock);
    if (truncated) log.note('[The rest of the output was cut off.]');
    await log.end();
    await run.link.pinHostKeys(guest, hostKeys);
    supervisor.forget(run.index);
    assert(state !== 'running', 'A step that is no longer followed has ended.');
    return { state: state as ProgramEnd['state'], exitCode, durationMs: elapsedMs, logTail: log.tail };
  });
}

/** Resolves when the guest stays up after the processes were killed. @throws ConnectionLost when it does */
async function stillUp(guest: GuestConnection, clock: Clock): Promise<void> {
  await clock.after(GOING_DOWN_MS, guest.lost).catch(() => undefined);
  guest.lost.throwIfAborted();
}

interface Following {
  readonly supervisor: StepSupervisor;
  readonly log: GuestLog;
  /** How the program stood before. */
  readonly found: StepStatus | undefined;
}

/** Starts the program unless it was started, and resolves when it has ended and its log is read. */
async function untilEnded(run: ProgramRun, { supervisor, log, found }: Following): Promise<StepEnd> {
  const { index } = run;
  const read = (bytes: Buffer) => log.push(bytes);
  let end: StepEnd | undefined;
  if (!found) {
    await run.beforeStart();
    end = await following(run, { supervisor, log, found }, () => supervisor.begin(index, run.program, read));
    if (end?.state === 'prepared') throw new FarmError('ConnectionLost', 'The step did not start in the guest.');
  } else if (found.state === 'running') {
    end = await following(run, { supervisor, log, found }, () => supervisor.follow(index, log.received, read));
  }
  return end ?? (await supervisor.finish(index, log.received, read));
}

/** Reports to the guest meanwhile how much of the log is stored, and the end of the program's time. */
async function following<T>(
  { index, timeoutMs, clock }: ProgramRun,
  { supervisor, log, found }: Following,
  work: () => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  log.onKept = (offset) => supervisor.keep(index, offset);
  if (timeoutMs !== null) {
    // When the connection breaks here, the next one finds the time over again.
    const leftMs = Math.max(0, timeoutMs - (found?.elapsedMs ?? 0));
    clock.after(leftMs, over.signal).then(
      () => supervisor.stop(index),
      () => undefined,
    );
  }
  try {
    return await work();
  } finally {
    over.abort();
    log.onKept = () => {};
  }
}
