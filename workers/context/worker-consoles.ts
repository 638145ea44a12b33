import { SharedConsole } from '../../common/console/shared-console.ts';
import type { VncSession } from '../../common/console/vnc-session.ts';
import {
  type ConsoleHolder,
  type ConsoleLeaseOptions,
  keepConsole,
  releaseConsole,
  takeConsole,
} from '../../common/redis/console-leases.ts';

/** The console of a machine that this worker alone has a session with. */
export interface HeldConsole {
  /** Shows the session's `screen` to viewers. */
  show(session: VncSession): void;
  readonly screen: SharedConsole['screen'];
  /** Lets others have the console. */
  release(): Promise<void>;
}

/** How an executor gets consoles to type on. */
export interface ConsoleHost {
  /** Takes a console from a process that only shows it. `epoch` is that of the claim. @throws RedisUnavailable */
  hold(machine: string, epoch: number): Promise<HeldConsole>;
}

export interface WorkerConsolesOptions extends ConsoleLeaseOptions {
  readonly worker: string;
  /** Where other processes of the farm see its consoles. */
  readonly address: string;
}

/** The consoles that this worker types on, as other processes see them. */
export class WorkerConsoles implements ConsoleHost {
  readonly #options: WorkerConsolesOptions;
  readonly #consoles = new Map<string, SharedConsole>();

  constructor(options: WorkerConsolesOptions) {
    this.#options = options;
  }

  find(machine: string): SharedConsole | undefined {
    return this.#consoles.get(machine);
  }

  async hold(machine: string, epoch: number): Promise<HeldConsole> {
    const { worker, address } = this.#options;
    const holder: ConsoleHolder = { owner: `${worker}.${epoch}`, address, rank: epoch };
    const shared = new SharedConsole();
    // Before the notice: viewers connect at once.
    this.#consoles.set(machine, shared);
    const over = new AbortController();
    const forget = () => {
      if (this.#consoles.get(machine) === shared) this.#consoles.delete(machine);
      shared.close();
    };
    try {
      await takeConsole(this.#options.redis, machine, holder);
    } catch (error) {
      forget();
      throw error;
    }
    const kept = keepConsole(this.#options, { machine, holder }, over.signal);
    return {
      screen: shared.screen,
      show: (session) => shared.show(session),
      release: async () => {
        over.abort();
        await kept;
        await releaseConsole(this.#options, machine, holder);
        forget();
      },
    };
  }
}
