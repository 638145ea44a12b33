import { randomUUID } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** A build that was submitted, with all that was told of it so far. */
export interface ChaosBuild {
  readonly id: string;
  /** What its base writes first: journals of the rounds differ. */
  readonly round: string;
  /** Layer builds by module, in small letters. */
  readonly works: ReadonlyMap<string, string>;
  readonly events: StoredEvent[];
  isCancelled: boolean;
  /** `build-finished`, once it was told. */
  outcome: string | null;
  readonly ended: Promise<void>;
}

/** Submits builds to a farm that is shaken, and follows them to their ends. */
export class ChaosBuilds {
  readonly all: ChaosBuild[] = [];
  readonly #client: FarmClient;
  readonly #image: { readonly url: string; readonly sha256: string };

  constructor(client: FarmClient, image: { readonly url: string; readonly sha256: string }) {
    this.#client = client;
    this.#image = image;
  }

  get living(): ChaosBuild[] {
    return this.all.filter(({ outcome }) => outcome === null);
  }

  /** `rebuild`: the same round once more, one of its modules built though it is there. */
  async submit(round: string, rebuild?: string): Promise<ChaosBuild> {
    const submission = {
      files: readModuleFiles([packagePath('test', 'chaos', 'modules.yaml')]),
      variables: { IMAGE_URL: this.#image.url, IMAGE_SHA256: this.#image.sha256, ROUND: round },
    };
    const options = { idempotencyKey: randomUUID(), ...(rebuild ? { rebuild: [rebuild] } : {}) };
    const { buildId: id } = await persist(() => this.#client.submit(submission, options));
    const { modules } = await persist(() => this.#client.build(id));
    const works = new Map(modules.map(({ name, layerBuild }) => [name, (layerBuild ?? '').toLowerCase()]));
    const events: StoredEvent[] = [];
    const build: ChaosBuild = {
      ...{ id, round, works, events, isCancelled: false, outcome: null },
      ended: this.#follow(id, events, (outcome) => {
        build.outcome = outcome;
      }),
    };
    this.all.push(build);
    return build;
  }

  async cancel(build: ChaosBuild): Promise<void> {
    build.isCancelled = true;
    await persist(() => this.#client.cancel(build.id));
  }

  async #follow(id: string, events: StoredEvent[], end: (outcome: string) => void): Promise<void> {
    for await (const event of this.#client.events(id)) {
      events.push(event);
      if (event.event === 'build-finished') end(event.outcome);
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
