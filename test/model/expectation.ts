import { FAILURES } from '../../common/contracts/failures.ts';
import type { PhaseResult } from '../../common/contracts/phase-store.ts';
import type { JobReference } from '../../common/contracts/phases.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { BuiltModule } from '../../common/redis/write-submission.ts';

/** What the farm allows: see `failLayerBuild`, `claim.lua` and `phase-store.ts`. */
const MAX_FAULTS = 5;
const MAX_CRASHES = 3;
const MOST_LOST = 10;
const SOON_MS = 600_000;

/** What has been decided about a layer build; `again`: it starts again when its executors have let go. */
export type Verdict = 'again' | 'succeeded' | 'failed' | 'cancelled' | null;

interface ExpectedPhase {
  isRunning: boolean;
  startedAt: number;
  claimedAt: number;
  faults: number;
  lost: number;
  isExcused: boolean;
}

interface ExpectedLayerBuild {
  readonly module: BuiltModule;
  readonly parents: readonly string[];
  generation: number;
  crashes: number;
  verdict: Verdict;
  /** `<vm>/<phase>` of this generation. */
  phases: Map<string, ExpectedPhase>;
  readonly succeeded: Set<string>;
  /** Since its first claim, without outages. */
  aliveMs: number | null;
}

/**
 * The expected state of the layer builds of a graph, computed from what happened to them: a second, simpler account beside the scripts'. It
 * knows no Redis, no order of admission and no portions.
 */
export class Expectation {
  readonly #layerBuilds = new Map<string, ExpectedLayerBuild>();
  #now = 0;
  #awaySince: number | null = null;
  #awayUntil = -1;

  get layerBuilds(): readonly { readonly id: string; readonly name: string }[] {
    return [...this.#layerBuilds].map(([id, { module }]) => ({ id, name: module.name }));
  }

  /** A build has made a layer build, which starts from these. */
  made(id: string, module: BuiltModule, parents: readonly string[]): void {
    const none = { generation: 1, crashes: 0, verdict: null, aliveMs: null };
    this.#layerBuilds.set(id, { module, parents, ...none, phases: new Map(), succeeded: new Set() });
  }

  get isAway(): boolean {
    return this.#awaySince !== null;
  }

  passed(ms: number): void {
    this.#now += ms;
    if (this.isAway) return;
    for (const stored of this.#layerBuilds.values()) if (stored.aliveMs !== null) stored.aliveMs += ms;
  }

  away(isAway: boolean): void {
    if (isAway) this.#awaySince ??= this.#now;
    else if (this.#awaySince !== null) {
      this.#awaySince = null;
      this.#awayUntil = this.#now;
    }
  }

  /** A worker was given a phase. Returns what is wrong with that, or null. */
  claimed(job: JobReference): string | null {
    const stored = this.#layerBuildOf(job);
    if (job.generation !== stored.generation)
      return `Generation ${stored.generation} continues, not ${job.generation}.`;
    if (stored.verdict !== null) return `It is ${stored.verdict}.`;
    const missing = this.#missingFor(stored, job);
    if (missing.length > 0) return `It starts before ${missing.join(', ')}.`;
    stored.aliveMs ??= 0;
    const phase = this.#phaseOf(stored, job);
    if (phase.isRunning) phase.lost = this.#isSoon(phase) ? phase.lost + 1 : 1;
    else phase.startedAt = this.#now;
    phase.isRunning = true;
    phase.claimedAt = this.#now;
    return phase.lost >= MOST_LOST ? 'It has ended ten workers.' : null;
  }

  /** A worker asked for a phase and was not given it. */
  refused(job: JobReference): void {
    const stored = this.#layerBuildOf(job);
    const phase = stored.phases.get(fieldOf(job));
    const isLast = phase?.isRunning && this.#isSoon(phase) && phase.lost + 1 >= MOST_LOST;
    if (isLast && job.generation === stored.generation && stored.verdict === null) stored.verdict = 'failed';
  }

  /** A phase is handed out again by the sweep: the executor that had it counts no longer. */
  redispatched(job: JobReference): void {
    const phase = this.#layerBuildOf(job).phases.get(fieldOf(job));
    if (phase) phase.isRunning = false;
  }

  /** An executor that held the current claim has committed. */
  committed(job: JobReference, result: PhaseResult): void {
    const stored = this.#layerBuildOf(job);
    const phase = this.#phaseOf(stored, job);
    phase.isRunning = false;
    if (stored.verdict !== null) return;
    const away = this.isAway || this.#awayUntil >= phase.startedAt;
    const excused = away || phase.isExcused;
    phase.isExcused = away || (result.outcome === 'requeue' && result.isPlanned === true);
    if (result.outcome === 'requeue' || result.outcome === 'cancelled') return;
    if (result.outcome === 'succeeded') {
      stored.succeeded.add(fieldOf(job));
      if (stored.succeeded.size === stored.module.spec.vms.length * PHASES.length) stored.verdict = 'succeeded';
      return;
    }
    const { retry } = FAILURES[result.failure.reason];
    if (retry === 'same-generation' && (away || phase.faults < MAX_FAULTS)) {
      if (!away) phase.faults += 1;
      return;
    }
    if (retry !== 'next-generation') {
      stored.verdict = 'failed';
      return;
    }
    const crashes = stored.crashes + (excused ? 0 : 1);
    if (crashes >= MAX_CRASHES) stored.verdict = 'failed';
    else Object.assign(stored, { crashes, verdict: 'again' });
  }

  /** How a layer build is seen to stand. Returns what is wrong with that, or null. */
  seen(
    id: string,
    seen: { readonly generation: number; readonly verdict: Verdict },
    isCancelled: boolean,
  ): string | null {
    const stored = this.#layerBuilds.get(id);
    if (!stored) return 'It was never submitted.';
    if (seen.generation === stored.generation + 1 && stored.verdict === 'again') {
      Object.assign(stored, { generation: seen.generation, verdict: null, phases: new Map() });
      stored.succeeded.clear();
    }
    if (seen.generation !== stored.generation) return `It is generation ${seen.generation} of ${stored.generation}.`;
    if (seen.verdict === stored.verdict) return null;
    const mayFail = this.#hasFailedParent(stored) || (stored.aliveMs ?? 0) >= stored.module.spec.module.timeoutMs;
    const isOpen = stored.verdict === null || stored.verdict === 'again';
    const isMeant =
      (seen.verdict === 'cancelled' && isCancelled && stored.verdict !== 'succeeded') ||
      (seen.verdict === 'failed' && mayFail && isOpen);
    if (!isMeant) return `It is ${seen.verdict}, and must be ${stored.verdict}.`;
    stored.verdict = seen.verdict;
    return null;
  }

  #hasFailedParent({ parents }: ExpectedLayerBuild): boolean {
    return parents.some((parent) => {
      const stored = this.#layerBuilds.get(parent);
      return stored && (stored.verdict === 'failed' || this.#hasFailedParent(stored));
    });
  }

  #isSoon({ claimedAt }: ExpectedPhase): boolean {
    return this.#now - claimedAt <= SOON_MS;
  }

  #missingFor(stored: ExpectedLayerBuild, { vm, phase }: JobReference): string[] {
    const vms = stored.module.spec.vms.map(({ name }) => name);
    switch (phase) {
      case 'import':
        return stored.parents.filter((parent) => this.#layerBuilds.get(parent)?.verdict !== 'succeeded');
      case 'boot-keystrokes':
        return vms.map((name) => `${name}/import`).filter((field) => !stored.succeeded.has(field));
      case 'provision':
        return [`${vm}/boot-keystrokes`].filter((field) => !stored.succeeded.has(field));
      case 'snapshot':
        return vms.map((name) => `${name}/provision`).filter((field) => !stored.succeeded.has(field));
    }
  }

  #layerBuildOf({ layerBuild }: JobReference): ExpectedLayerBuild {
    const stored = this.#layerBuilds.get(layerBuild);
    if (!stored) throw new Error(`${layerBuild} was never submitted.`);
    return stored;
  }

  #phaseOf(stored: ExpectedLayerBuild, job: JobReference): ExpectedPhase {
    const known = stored.phases.get(fieldOf(job));
    if (known) return known;
    const phase = { isRunning: false, startedAt: this.#now, claimedAt: 0, faults: 0, lost: 0, isExcused: false };
    stored.phases.set(fieldOf(job), phase);
    return phase;
  }
}

const fieldOf = ({ vm, phase }: JobReference) => `${vm}/${phase}`;
