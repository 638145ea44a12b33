import type { VmView } from '../../common/contracts/builds.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmClient } from './farm-client.ts';
import { resolveBuild } from './resolve-build.ts';

/** A machine of a build. */
export interface FoundVm {
  readonly buildId: string;
  readonly vm: string;
}

/**
 * The machine that `BUILD/VM` names, or the only one of a build on which a step waits for a person, or of a clone.
 * @throws NotWaiting, InvalidRequest
 */
export function findWaiting(client: FarmClient, target: string): Promise<FoundVm> {
  return find(client, target, {
    isMeant: ({ handbuild }, isClone) => isClone || handbuild !== null,
    what: 'waits for a person',
  });
}

/** As `findWaiting`, of those that the build itself keeps for a person. */
export function findKept(client: FarmClient, target: string): Promise<FoundVm> {
  return find(client, target, { isMeant: ({ handbuild }) => (handbuild?.kept ?? null) !== null, what: 'is kept' });
}

interface Search {
  isMeant(vm: VmView, isClone: boolean): boolean;
  readonly what: string;
}

async function find(client: FarmClient, target: string, { isMeant, what }: Search): Promise<FoundVm> {
  const [id = '', vm] = target.split('/');
  const buildId = await resolveBuild(client, id);
  if (vm !== undefined) return { buildId, vm };
  const { modules, run } = await client.build(buildId);
  const vms = modules.flatMap((module) => module.vms);
  const found = vms.flatMap((each) => (isMeant(each, run !== null) ? [each.vm] : []));
  const [only, other] = found;
  if (only === undefined) throw new FarmError('NotWaiting', `No machine of build ${buildId} ${what}.`);
  if (other === undefined) return { buildId, vm: only };
  throw new FarmError('InvalidRequest', `Several machines match; name one of them: ${found.join(', ')}.`);
}
