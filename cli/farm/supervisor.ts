import { systemClock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type ChildSpec, FarmChild } from './child-process.ts';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** Keeps the processes of a farm running: whichever ends is started again, more and more slowly while it keeps ending. */
export class Supervisor {
  readonly #children = new Map<string, FarmChild>();
  readonly #guards: Promise<void>[] = [];
  readonly #stop = new AbortController();
  readonly #logger: Logger;
  readonly #onChange: () => void;

  /** @param onChange called after a process was started again, when process ids have changed */
  constructor(logger: Logger, onChange: () => void) {
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** Starts a process and resolves with its ready line. It is watched from then on. */
  async start(spec: ChildSpec): Promise<Record<string, unknown>> {
    const child = new FarmChild(spec);
    this.#children.set(spec.name, child);
    const ready = await child.ready;
    this.#guards.push(this.#guard(spec, child));
    return ready;
  }

  /** Process ids by role: the name of a child without its number. */
  pids(): Record<string, number[]> {
    const pids: Record<string, number[]> = {};
    for (const [name, child] of this.#children) {
      const role = roleOf(name);
      pids[role] = [...(pids[role] ?? []), child.pid];
    }
    return pids;
  }

  /** Ends every process, the ones started last first; those of one role together. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const role of [...new Set([...this.#children.keys()].map(roleOf))].reverse()) {
      const children = [...this.#children.values()].filter((child) => roleOf(child.name) === role);
      await Promise.all(children.map((child) => child.stop()));
    }
    await Promise.all(this.#guards);
  }

  async #guard(spec: ChildSpec, first: FarmChild): Promise<void> {
    let child = first;
    let pause = FIRST_PAUSE_MS;
    while (true) {
      await child.ended;
      if (this.#stop.signal.aborted) return;
      this.#logger.warn({ process: spec.name, pauseMs: pause }, 'A process ended and is started again');
      await systemClock.after(pause, this.#stop.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
      child = new FarmChild(spec);
      this.#children.set(spec.name, child);
      this.#onChange();
      pause = await child.ready.then(
        () => FIRST_PAUSE_MS,
        () => Math.min(pause * 2, LONGEST_PAUSE_MS),
      );
    }
  }
}

/** `provision-2` is one of the processes of the role `provision`. */
function roleOf(name: string): string {
  return name.replace(/-\d+$/, '');
}
