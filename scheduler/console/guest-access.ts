import type { Duplex } from 'node:stream';
import { guestRoute } from '../../common/contracts/guest-route.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { type BuildIdentity, machineName, relayName, sshKeyName } from '../../common/contracts/object-names.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { connectThroughRelay } from '../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openMachinePort } from '../../common/kubernetes/subresource-stream.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';

/** The part of a layer build that determines the route to its guests. */
export type GuestLayerBuild = Pick<StoredLayerBuild, 'id' | 'generation' | 'spec'>;

/** A port of the guest of a VM. */
interface GuestPort {
  readonly vm: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

type Dial = (cluster: ClusterClient, stored: GuestLayerBuild, target: GuestPort) => Promise<Duplex>;

/** As workers reach guests (workers/networks), once these have prepared the way. */
const DIALS: Readonly<Record<NetworkKind, Dial>> = {
  'kube-ovn': async (cluster, stored, { vm, port, signal }) => {
    const plan = stored.spec.vms.find(({ name }) => name === vm);
    const route = plan && guestRoute({ spec: stored.spec, plan });
    const host = route?.nic.ip;
    if (!route || !host) throw new FarmError('ConnectionLost', `No network card of VM "${vm}" leads to the farm.`);
    return connectThroughRelay(cluster, relayName(identityOf(stored), route.vpc), { host, port, signal });
  },
  pod: (cluster, stored, { vm, ...target }) => openMachinePort(cluster, machineName(identityOf(stored), vm), target),
};

/** A byte stream to the SSH port of a VM's guest. @throws ConnectionLost, ApiError, ClusterUnavailable */
export function openGuestPort(
  cluster: ClusterClient,
  stored: GuestLayerBuild,
  { vm, signal }: Omit<GuestPort, 'port'>,
): Promise<Duplex> {
  const { sshPort } = communicatorOf(stored, vm);
  return DIALS[stored.spec.networkKind ?? 'kube-ovn'](cluster, stored, { vm, port: sshPort, signal });
}

/** User and key of the login; null: with one that a Secret keeps. @throws ClusterUnavailable */
export async function readLogin(
  cluster: ClusterClient,
  stored: GuestLayerBuild,
  vm: string,
): Promise<{ readonly username: string; readonly privateKey: string | null }> {
  const { sshUsername: username, sshPrivateKeySecret } = communicatorOf(stored, vm);
  if (sshPrivateKeySecret !== null) return { username, privateKey: null };
  const secret = await cluster.get(RESOURCES.secrets, sshKeyName(identityOf(stored)));
  return { username, privateKey: Buffer.from(secret?.data?.['id_ed25519'] ?? '', 'base64').toString() || null };
}

function communicatorOf({ spec }: GuestLayerBuild, vm: string) {
  const found = spec.module.vms.find(({ name }) => name === vm);
  assert(found, `The specification of a layer build has the VM "${vm}" of it.`);
  return found.communicator;
}

function identityOf({ id, generation }: GuestLayerBuild): BuildIdentity {
  return { layerBuild: id, generation };
}
