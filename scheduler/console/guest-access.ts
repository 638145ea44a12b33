import type { Duplex } from 'node:stream';
import { guestRoute } from '../../common/contracts/guest-route.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { type BuildIdentity, machineName, relayName, sshKeyName } from '../../common/contracts/object-names.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { connectThroughRelay } from '../../common/kubernetes/relay-tunnel.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openMachinePort } from '../../common/kubernetes/subresource-stream.ts';
import type { StoredWork } from '../../common/redis/builds.ts';

/** Of a work, what the way to its guests follows from. */
export type GuestWork = Pick<StoredWork, 'id' | 'generation' | 'spec'>;

/** A port of the guest of a VM. */
interface GuestPort {
  readonly vm: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

type Dial = (cluster: ClusterClient, work: GuestWork, target: GuestPort) => Promise<Duplex>;

/** As workers reach guests (workers/networks), once these have prepared the way. */
const DIALS: Readonly<Record<NetworkKind, Dial>> = {
  'kube-ovn': async (cluster, work, { vm, port, signal }) => {
    const plan = work.spec.vms.find(({ name }) => name === vm);
    const route = plan && guestRoute({ spec: work.spec, plan });
    const host = route?.nic.ip;
    if (!route || !host) throw new FarmError('ConnectionLost', `No network card of VM "${vm}" leads to the farm.`);
    return connectThroughRelay(cluster, relayName(identityOf(work), route.vpc), { host, port, signal });
  },
  pod: (cluster, work, { vm, ...target }) => openMachinePort(cluster, machineName(identityOf(work), vm), target),
};

/** A byte stream to the SSH port of a VM's guest. @throws ConnectionLost, ApiError, ClusterUnavailable */
export function dialGuest(
  cluster: ClusterClient,
  work: GuestWork,
  { vm, signal }: Omit<GuestPort, 'port'>,
): Promise<Duplex> {
  const { sshPort } = communicatorOf(work, vm);
  return DIALS[work.spec.networkKind ?? 'kube-ovn'](cluster, work, { vm, port: sshPort, signal });
}

/** Who logs in, and with which key of the build's own; null: with one that a Secret keeps. @throws ClusterUnavailable */
export async function readLogin(
  cluster: ClusterClient,
  work: GuestWork,
  vm: string,
): Promise<{ readonly username: string; readonly privateKey: string | null }> {
  const { sshUsername: username, sshPrivateKeySecret } = communicatorOf(work, vm);
  if (sshPrivateKeySecret !== null) return { username, privateKey: null };
  const secret = await cluster.get(RESOURCES.secrets, sshKeyName(identityOf(work)));
  return { username, privateKey: Buffer.from(secret?.data?.['id_ed25519'] ?? '', 'base64').toString() || null };
}

function communicatorOf({ spec }: GuestWork, vm: string) {
  const found = spec.module.vms.find(({ name }) => name === vm);
  assert(found, `The specification of a work has the VM "${vm}" of it.`);
  return found.communicator;
}

function identityOf({ id, generation }: GuestWork): BuildIdentity {
  return { layerBuild: id, generation };
}
