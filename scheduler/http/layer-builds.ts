import type { Redis } from 'ioredis';
import type { BuildView } from '../../common/contracts/builds.ts';
import { mayEnter } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readBuild, readPartOfBuild, type StoredBuild } from '../../common/redis/builds.ts';
import { readLastEventId } from '../../common/redis/event-streams.ts';
import { readHandbuild } from '../../common/redis/handbuilds.ts';
import { readLayerBuild, type StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import type { Principal } from '../../common/redis/tokens.ts';
import { buildView } from '../builds/views.ts';

/** A build with its layer builds by id. */
export interface LoadedBuild {
  readonly build: StoredBuild;
  readonly layerBuilds: ReadonlyMap<string, StoredLayerBuild>;
}

/** A whole build. @throws NotFound */
export async function loadBuild(redis: Redis, id: string): Promise<LoadedBuild> {
  return withLayerBuilds(redis, (await readBuild(redis, id)) ?? noSuchBuild(id));
}

/** A build with a page of its modules, and the start of the next page; null: this is the last one. @throws NotFound */
export async function loadPageOfBuild(
  redis: Redis,
  id: string,
  { from, limit }: { readonly from: number; readonly limit: number },
): Promise<LoadedBuild & { readonly next: number | null }> {
  const build = (await readPartOfBuild(redis, id, { from, limit })) ?? noSuchBuild(id);
  const next = from + build.modules.length;
  return { ...(await withLayerBuilds(redis, build)), next: next < build.counts.all ? next : null };
}

/** A page of a build, as clients see it. @throws NotFound */
export async function readBuildView(
  redis: Redis,
  id: string,
  { from = 0, limit }: { readonly from?: number | undefined; readonly limit: number },
): Promise<BuildView> {
  // Read first: later events may be repeated, but are never missed.
  const lastEventId = await readLastEventId(redis, id);
  const { build, layerBuilds, next } = await loadPageOfBuild(redis, id, { from, limit });
  return buildView(build, layerBuilds, { lastEventId, next });
}

/** A build whose machines a person may enter, and whose steps that wait they may decide about. @throws Forbidden, NotFound */
export async function loadOwnBuild(redis: Redis, id: string, who: Principal): Promise<StoredBuild> {
  const build = (await readBuild(redis, id)) ?? noSuchBuild(id);
  if (mayEnter(who, build)) return build;
  const owner = `the owner of the build, "${build.submittedBy ?? ''}",`;
  const message = `Only ${owner} and admins may log in to its machines and continue its steps.`;
  throw new FarmError('Forbidden', message, { details: { solve: 'Ask one of them.' } });
}

/** @throws NotFound */
export function noSuchBuild(id: string): never {
  throw new FarmError('NotFound', `Build "${id}" not found.`);
}

async function withLayerBuilds(redis: Redis, build: StoredBuild): Promise<LoadedBuild> {
  const ids = new Set(build.modules.flatMap(({ layerBuild }) => layerBuild ?? []));
  const layerBuilds = await Promise.all([...ids].map((stored) => readLayerBuild(redis, stored)));
  return {
    build,
    layerBuilds: new Map(layerBuilds.flatMap((stored) => (stored ? [[stored.id, stored] as const] : []))),
  };
}

/** Names a VM of a build; `layerBuild` where a build has several of that name. */
export interface VmOfBuild {
  readonly id: string;
  readonly vm: string;
  readonly layerBuild: string | undefined;
}

/** The layer builds that have a VM of that name, those of other modules left out when one is named. @throws NotFound */
export async function layerBuildsWithVm(redis: Redis, place: VmOfBuild): Promise<StoredLayerBuild[]> {
  return thoseWithVm(await loadBuild(redis, place.id), place);
}

/** The same of a build that was loaded. */
export function thoseWithVm({ layerBuilds }: LoadedBuild, { vm, layerBuild }: VmOfBuild): StoredLayerBuild[] {
  return [...layerBuilds.values()].filter(
    (stored) =>
      (layerBuild === undefined || stored.id === layerBuild) && stored.spec.vms.some(({ name }) => name === vm),
  );
}

export function noSuchVm(id: string, vm: string): FarmError {
  const solve = `\`slipway ps ${id}\` lists the machines of the build.`;
  return new FarmError('NotFound', `VM "${vm}" is not part of the build.`, { details: { solve } });
}

/** The only one of several layer builds. @throws InvalidRequest */
export function onlyLayerBuild(layerBuilds: readonly StoredLayerBuild[], vm: string): StoredLayerBuild | undefined {
  if (layerBuilds.length <= 1) return layerBuilds[0];
  const names = layerBuilds.map(({ id, spec }) => `${spec.module.name} (${id})`).join(', ');
  throw new FarmError('InvalidRequest', `Several modules have a VM "${vm}". Choose one by layerBuild: ${names}.`);
}

/** The only layer build on whose VM of that name a step waits for a person. @throws NotFound, NotWaiting, InvalidRequest */
export async function waitingLayerBuild(redis: Redis, requested: VmOfBuild): Promise<StoredLayerBuild> {
  const { id, vm } = requested;
  const layerBuilds = await layerBuildsWithVm(redis, requested);
  if (layerBuilds.length === 0) throw noSuchVm(id, vm);
  const steps = await Promise.all(
    layerBuilds.map(({ id: layerBuild, cluster }) => readHandbuild(redis, { cluster, layerBuild, vm })),
  );
  const stored = onlyLayerBuild(
    layerBuilds.filter((_, index) => steps[index] !== null),
    vm,
  );
  if (!stored) throw notWaiting(vm);
  return stored;
}

export function notWaiting(vm: string): FarmError {
  return new FarmError('NotWaiting', `No step of VM "${vm}" waits for a person.`);
}
