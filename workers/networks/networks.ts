import { guestRoute } from '../../common/contracts/guest-route.ts';
import type { LayerSpec } from '../../common/contracts/layers.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { kubeOvn } from './kube-ovn.ts';
import type { NetworkDriver } from './network-driver.ts';
import { podNetwork } from './pod-network.ts';

const NETWORKS: Readonly<Record<NetworkKind, NetworkDriver>> = { 'kube-ovn': kubeOvn, pod: podNetwork };

/** The network that a layer is built on. */
export function networkOf({ networkKind = 'kube-ovn' }: LayerSpec): NetworkDriver {
  return NETWORKS[networkKind];
}

/** `{{ .HTTPIP }}` of the claimed VM; empty without an HTTP directory. */
export async function relayAddressOf(context: PhaseContext, scope: BuildScope): Promise<string> {
  const route = guestRoute(scope);
  return route ? await networkOf(scope.spec).relayAddress(context, scope, route.vpc) : '';
}
