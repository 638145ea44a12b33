import type { Redis } from 'ioredis';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readBuild, readWork, type StoredBuild, type StoredWork } from '../../common/redis/builds.ts';
import { readHandbuild } from '../../common/redis/handbuilds.ts';

/** A build with its works by id. @throws NotFound */
export async function loadBuild(
  redis: Redis,
  id: string,
): Promise<{ readonly build: StoredBuild; readonly works: ReadonlyMap<string, StoredWork> }> {
  const build = await readBuild(redis, id);
  if (!build) throw new FarmError('NotFound', `There is no build "${id}".`);
  const ids = new Set(build.modules.flatMap(({ layerBuild }) => layerBuild ?? []));
  const works = await Promise.all([...ids].map((work) => readWork(redis, work)));
  return { build, works: new Map(works.flatMap((work) => (work ? [[work.id, work] as const] : []))) };
}

/** Names a VM of a build; `layerBuild` where a build has several of that name. */
export interface VmOfBuild {
  readonly id: string;
  readonly vm: string;
  readonly layerBuild: string | undefined;
}

/** The works that have a VM of that name, those of other modules left out when one is named. @throws NotFound */
export async function worksWithVm(redis: Redis, { id, vm, layerBuild }: VmOfBuild): Promise<StoredWork[]> {
  const { works } = await loadBuild(redis, id);
  return [...works.values()].filter(
    (work) => (layerBuild === undefined || work.id === layerBuild) && work.spec.vms.some(({ name }) => name === vm),
  );
}

export function noSuchVm(id: string, vm: string): FarmError {
  const solve = `\`slipway ps ${id}\` lists the machines of the build.`;
  return new FarmError('NotFound', `The build makes no VM "${vm}".`, { details: { solve } });
}

/** The only one of several works. @throws InvalidRequest */
export function onlyWork(works: readonly StoredWork[], vm: string): StoredWork | undefined {
  if (works.length <= 1) return works[0];
  const names = works.map(({ id, spec }) => `${spec.module.name} (${id})`).join(', ');
  throw new FarmError('InvalidRequest', `Several modules have a VM "${vm}". Choose one by layerBuild: ${names}.`);
}

/** The only work on whose VM of that name a step waits for a person. @throws NotFound, NotWaiting, InvalidRequest */
export async function waitingWork(redis: Redis, wanted: VmOfBuild): Promise<StoredWork> {
  const { id, vm } = wanted;
  const works = await worksWithVm(redis, wanted);
  if (works.length === 0) throw noSuchVm(id, vm);
  const steps = await Promise.all(
    works.map(({ id: layerBuild, cluster }) => readHandbuild(redis, { cluster, layerBuild, vm })),
  );
  const work = onlyWork(
    works.filter((_, index) => steps[index] !== null),
    vm,
  );
  if (!work) throw notWaiting(vm);
  return work;
}

export function notWaiting(vm: string): FarmError {
  return new FarmError('NotWaiting', `No step of VM "${vm}" waits for a person.`);
}
