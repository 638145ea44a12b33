import type { Submission } from '../../../cli/client/farm-client.ts';
import { configSchema } from '../../../common/config/schema.ts';
import type { StoredEvent } from '../../../common/contracts/events.ts';
import { LABELS } from '../../../common/contracts/object-keys.ts';
import { PHASES, type Phase } from '../../../common/contracts/phases.ts';
import { assert } from '../../../common/errors/farm-error.ts';
import { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { watchObjects } from '../../../common/kubernetes/watch-objects.ts';
import type { TestFarm } from '../../harness/farm.ts';

/** What a build of the farm took, in milliseconds. */
export interface FarmTimes {
  /** From the submission to the last event, as the client sees it. */
  readonly totalMs: number;
  /** Of the modules that were built, one after the other. */
  readonly phasesMs: Readonly<Record<Phase, number>>;
  /** What is in no phase: accepting, planning, queues. */
  readonly betweenMs: number;
  /** From the end of a VM's first step to the end of its last, per step; undefined with fewer than two. */
  readonly furtherStepMs: number | undefined;
}

/** Builds on the farm. */
export async function buildOnFarm({ client }: TestFarm, submission: Submission): Promise<FarmTimes> {
  const start = performance.now();
  const { buildId } = await client.submit(submission);
  const events: StoredEvent[] = [];
  for await (const event of client.events(buildId)) events.push(event);
  const totalMs = performance.now() - start;
  const last = events.at(-1);
  assert(last?.event === 'build-finished' && last.outcome === 'succeeded', `The build "${buildId}" succeeds.`);
  const phasesMs = Object.fromEntries(PHASES.map((phase) => [phase, phaseMs(events, phase)])) as Record<Phase, number>;
  const inPhases = Object.values(phasesMs).reduce((sum, ms) => sum + ms, 0);
  return { totalMs, phasesMs, betweenMs: totalMs - inPhases, furtherStepMs: furtherStepMs(events) };
}

function phaseMs(events: readonly StoredEvent[], phase: Phase): number {
  return events.reduce(
    (sum, event) => sum + (event.event === 'phase-finished' && event.phase === phase ? event.durationMs : 0),
    0,
  );
}

function furtherStepMs(events: readonly StoredEvent[]): number | undefined {
  const ends = events.flatMap((event) => (event.event === 'step-finished' ? [Date.parse(event.time)] : []));
  const [first, last] = [ends[0], ends.at(-1)];
  return first === undefined || last === undefined || ends.length < 2 ? undefined : (last - first) / (ends.length - 1);
}

/** When disks of modules were captured and machines ran, as the cluster reports it; `performance.now()` by module. */
export interface ClusterMoments {
  readonly captured: ReadonlyMap<string, number>;
  readonly running: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Watches the farm's cluster until it is stopped. */
export function watchMoments({ connection }: TestFarm): ClusterMoments {
  const [config] = configSchema.parse({ clusters: [{ name: 'bench', kubeconfig: connection.kubeconfig }] }).clusters;
  assert(config, 'One cluster is configured.');
  const cluster = new ClusterClient(config);
  const over = new AbortController();
  const { signal } = over;
  const captured = new Map<string, number>();
  const running = new Map<string, number>();
  const moduleOf = (labels: Readonly<Record<string, string>> | undefined) => labels?.[LABELS.module] ?? '';
  const watches = [
    (async () => {
      for await (const event of watchObjects(cluster, RESOURCES.snapshots, { signal })) {
        if (event.type !== 'changed' || event.object.status?.readyToUse !== true) continue;
        const module = moduleOf(event.object.metadata?.labels);
        if (!captured.has(module)) captured.set(module, performance.now());
      }
    })(),
    (async () => {
      for await (const event of watchObjects(cluster, RESOURCES.instances, { signal })) {
        if (event.type !== 'changed' || event.object.status?.phase !== 'Running') continue;
        const module = moduleOf(event.object.metadata?.labels);
        if (!running.has(module)) running.set(module, performance.now());
      }
    })(),
  ];
  return {
    captured,
    running,
    stop: async () => {
      over.abort();
      await Promise.all(watches);
    },
  };
}
