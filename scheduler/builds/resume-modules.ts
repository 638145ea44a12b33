import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { machineName } from '../../common/contracts/object-names.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { eachOf } from './each-of.ts';
import type { ObjectCluster } from './resolve-objects.ts';

/** Where a module continues when its build is tried again. */
export interface Resumption {
  /** The layer build whose failed phase is run again; undefined: the module is built from the start. */
  readonly resumes?: string;
  /** Why so, in a few words. */
  readonly why: string;
}

/** Input for checking whether the disks of a failed module still exist. */
export interface ResumptionOptions {
  readonly clusters: readonly ObjectCluster[];
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** How long disks of failed modules are kept. */
  readonly failureRetentionMs: number;
}

/** Objects that expire sooner may be gone before they are used. */
const MARGIN_MS = 60_000;
const GOES_ON = 'continues with its snapshot phase: its machines shut down cleanly, and their disks are kept';

/**
 * Where the failed modules of a build continue, by name. Only a snapshot phase finds everything as it was: every other one works on
 * disks that it changes, or that a machine has changed which is off by now. Modules that were never begun are not named.
 */
export async function findResumptions(
  { modules, results }: Pick<StoredBuild, 'modules' | 'results'>,
  layerBuilds: ReadonlyMap<string, StoredLayerBuild>,
  options: ResumptionOptions,
): Promise<Record<string, Resumption>> {
  const found = await eachOf(modules, async ({ name, layerBuild = '' }): Promise<[string, Resumption][]> => {
    const stored = layerBuilds.get(layerBuild);
    const isOwn = results.get(name)?.failure?.reason !== 'ParentFailed';
    if (results.get(name)?.outcome !== 'failed' || stored?.state !== 'failed' || !isOwn) return [];
    const obstacle = await obstacleOf(stored, options);
    if (obstacle !== null) return [[name, { why: `from the start: ${obstacle}` }]];
    return [[name, { resumes: stored.id, why: GOES_ON }]];
  });
  return Object.fromEntries(found.flat());
}

/** Why a failed layer build cannot continue; null: it can. */
async function obstacleOf(
  stored: StoredLayerBuild,
  { clusters, now, failureRetentionMs }: ResumptionOptions,
): Promise<string | null> {
  const isDone = (vm: string, phase: string) => stored.phases.get(`${vm}/${phase}`)?.state === 'succeeded';
  const vms = stored.spec.vms.map(({ name }) => name);
  const failed = PHASES.find((phase) => vms.some((vm) => stored.phases.has(`${vm}/${phase}`) && !isDone(vm, phase)));
  if (failed !== 'snapshot') return `its disks have changed since its phase ${failed} began`;
  if ((stored.finishedAt ?? 0) + failureRetentionMs - now < MARGIN_MS) return 'its disks are no longer kept';
  if (stored.spec.module.imported) return null;
  const cluster = clusters.find(({ name }) => name === stored.cluster);
  if (!cluster) return `the cluster "${stored.cluster}" is no longer configured`;
  const open = vms.filter((vm) => !isDone(vm, 'snapshot'));
  try {
    const ended = await Promise.all(open.map((vm) => hasShutDown(cluster, stored, vm)));
    const running = open.filter((_, index) => !ended[index]);
    return running.length === 0 ? null : `no sign that ${running.join(', ')} shut down cleanly`;
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    return `the cluster "${stored.cluster}" did not report its remaining objects`;
  }
}

async function hasShutDown(cluster: ObjectCluster, { id, generation }: StoredLayerBuild, vm: string): Promise<boolean> {
  const machine = await cluster.get(RESOURCES.machines, machineName({ layerBuild: id, generation }, vm));
  return machine?.metadata?.annotations?.[ANNOTATIONS.shutdownEnded] === 'Succeeded';
}
