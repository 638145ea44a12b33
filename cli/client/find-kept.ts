import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmClient } from './farm-client.ts';
import { resolveBuild } from './resolve-build.ts';

/** The machine that `BUILD/VM` names, or the only one of a build that is kept. @throws NotWaiting, InvalidRequest */
export async function findKept(client: FarmClient, target: string): Promise<{ buildId: string; vm: string }> {
  const [id = '', vm] = target.split('/');
  const buildId = await resolveBuild(client, id);
  if (vm !== undefined) return { buildId, vm };
  const { modules } = await client.build(buildId);
  const kept = modules.flatMap(({ vms }) => vms.filter(({ handbuild }) => handbuild?.kept).map((found) => found.vm));
  const [only, other] = kept;
  if (only === undefined) throw new FarmError('NotWaiting', `No machine of build ${buildId} is kept.`);
  if (other === undefined) return { buildId, vm: only };
  throw new FarmError('InvalidRequest', `Several machines are kept; name one of them: ${kept.join(', ')}.`);
}
