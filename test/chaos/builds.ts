import { randomUUID } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';

/** A build that was submitted, with its events so far. */
export interface ChaosBuild {
  readonly id: string;
  /** What its base writes first: journals of the rounds differ. */
  readonly round: string;
  /** Layer builds by module, in small letters. */
  readonly layerBuilds: ReadonlyMap<string, string>;
  readonly events: StoredEvent[];
  isCancelled: boolean;
  /** How often all machines of the farm were ended while it ran. */
  endings: number;
  /** `build-finished`, once it was received. */
  outcome: string | null;
  readonly ended: Promise<void>;
}

/** Hears of builds. */
export interface BuildListener {
  started(build: ChaosBuild): void;
  ended(build: ChaosBuild): void;
  /** A build can no longer be followed. */
  lost(build: string, reason: string): void;
}

/** Submits builds to a farm that is shaken, and follows them to their ends. */
export class ChaosBuilds {
  readonly all: ChaosBuild[] = [];
  /** Layer builds of which a machine was killed, in small letters. */
  readonly crashed = new Set<string>();
  readonly #client: FarmClient;
  readonly #image: { readonly url: string; readonly sha256: string };
  readonly #listener: BuildListener;
  #rounds = 0;

  constructor(client: FarmClient, image: { readonly url: string; readonly sha256: string }, listener: BuildListener) {
    this.#client = client;
    this.#image = image;
    this.#listener = listener;
  }

  get living(): ChaosBuild[] {
    return this.all.filter(({ outcome }) => outcome === null);
  }

  /** A build of which no layer is there. */
  submitNew(): Promise<ChaosBuild> {
    this.#rounds += 1;
    return this.#submit(`r${this.#rounds}`);
  }

  async cancelOne(random: () => number): Promise<string | null> {
    const build = this.living[Math.floor(random() * this.living.length)];
    if (!build) return null;
    build.isCancelled = true;
    await persist(() => this.#client.cancel(build.id));
    return build.id;
  }

  /** Builds a round again, one module of it though it is there, or is being built. */
  async rebuildOne(random: () => number): Promise<string | null> {
    const round = 1 + Math.floor(random() * this.#rounds);
    const module = random() < 0.5 ? 'left' : 'top';
    const { id } = await this.#submit(`r${round}`, module);
    return `${module} of round ${round}: ${id}`;
  }

  /** All machines of the farm are ended now. */
  machinesEnded(): void {
    for (const build of this.living) build.endings += 1;
  }

  async #submit(round: string, rebuild?: string): Promise<ChaosBuild> {
    const submission = {
      files: readModuleFiles([packagePath('test', 'chaos', 'modules.yaml')]),
      variables: { IMAGE_URL: this.#image.url, IMAGE_SHA256: this.#image.sha256, ROUND: round },
    };
    const options = { idempotencyKey: randomUUID(), ...(rebuild ? { rebuild: [rebuild] } : {}) };
    const { buildId: id } = await persist(() => this.#client.submit(submission, options));
    const { modules } = await persist(() => this.#client.build(id));
    const layerBuilds = new Map(modules.map(({ name, layerBuild }) => [name, (layerBuild ?? '').toLowerCase()]));
    const events: StoredEvent[] = [];
    const build: ChaosBuild = {
      ...{ id, round, layerBuilds, events, isCancelled: false, endings: 0, outcome: null },
      ended: this.#follow(id, events, (outcome) => {
        build.outcome = outcome;
        this.#listener.ended(build);
      }),
    };
    this.all.push(build);
    this.#listener.started(build);
    return build;
  }

  async #follow(id: string, events: StoredEvent[], end: (outcome: string) => void): Promise<void> {
    try {
      for await (const event of this.#client.events(id)) {
        events.push(event);
        if (event.event === 'build-finished') end(event.outcome);
      }
    } catch (error) {
      this.#listener.lost(id, errorMessage(error));
    }
  }
}

const PASSING: ReadonlySet<string> = new Set(['FarmUnreachable', 'RedisUnavailable', 'ClusterUnavailable']);
const PATIENCE_MS = 120_000;

/** Asks a farm again that is away for a while, as a script of a user would. */
async function persist<T>(ask: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + PATIENCE_MS; ; await after(500)) {
    try {
      return await ask();
    } catch (error) {
      const isPassing = error instanceof FarmError && PASSING.has(error.code);
      if (!isPassing || performance.now() > until) throw error;
    }
  }
}
