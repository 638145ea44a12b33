import { relayOf, subnetOf } from '../../common/contracts/guest-route.ts';
import type { NicPlan } from '../../common/contracts/layers.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openMachinePort } from '../../common/kubernetes/subresource-stream.ts';
import { type BuildScope, domainOf, type ModuleScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { runStage } from '../context/stage.ts';
import { putName } from '../relay/relay-client.ts';
import type { NetworkDriver, Wiring } from './network-driver.ts';
import { guestPolicy, podRelay, relayPolicy, relayService } from './pod-objects.ts';

/**
 * The cluster's own pod network: other clients see each machine as its launcher pod (KubeVirt's `masquerade`), with an
 * address of its own only behind it. NetworkPolicies isolate a module as VPCs do elsewhere; the relay is behind a
 * Service, whose address is known before any guest starts, and learns where machines are when they run.
 */
export const podNetwork: NetworkDriver = {
  ensure: async (context, scope) => {
    const { cluster, signal, clusterConfig } = context;
    await runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, () =>
      Promise.all([
        ...[
          guestPolicy(scope, clusterConfig.deniedNetworks),
          ...vpcsOf(scope).map((vpc) => relayPolicy(scope, vpc)),
        ].map((policy) => cluster.createIfAbsent(RESOURCES.networkPolicies, policy, { signal })),
        ...vpcsOf(scope).map((vpc) => cluster.createIfAbsent(RESOURCES.services, relayService(scope, vpc), { signal })),
      ]),
    );
  },
  // The pod network reaches outside; the policies restrict its use.
  requestWaysOut: async () => {},
  ensureWaysOut: async () => {},
  relayPod: podRelay,
  relayAddress: serviceAddress,
  fillRelay: async (context, scope, vpc) => {
    await Promise.all(scope.spec.vms.map(({ name }) => informRelay(context, scope, { vpc, vm: name })));
  },
  buildWiring: async (context, scope) => {
    const [nic] = scope.plan.nics;
    const vpc = nic && subnetOf(scope.spec, nic).vpc;
    const address = vpc === undefined ? '' : await serviceAddress(context, scope, vpc);
    return wire(
      scope,
      scope.plan.nics,
      address === ''
        ? {}
        : { dnsPolicy: 'None', dnsConfig: { nameservers: [address], searches: [domainOf(scope.spec)] } },
    );
  },
  templateWiring: (scope) => wire(scope, scope.plan.templateNics, {}),
  guestName: ({ vm }) => vm.name,
  dial,
};

/** The VPCs that have a relay. */
function vpcsOf({ spec }: ModuleScope): string[] {
  return spec.network.vpcs.flatMap(({ name }) => (relayOf(spec, name) ? [name] : []));
}

/** The guest sees the network of its subnet: KubeVirt's gateway is its first address, the guest has the second one. */
function wire(scope: BuildScope, nics: readonly NicPlan[], resolver: Wiring['resolver']): Wiring {
  return {
    annotations: {},
    networks: nics.map((nic) => ({ name: nic.name, pod: { vmNetworkCIDR: subnetOf(scope.spec, nic).cidr } })),
    bindings: nics.map(() => ({ masquerade: {} })),
    resolver,
  };
}

async function serviceAddress({ cluster, signal }: PhaseContext, scope: ModuleScope, vpc: string): Promise<string> {
  if (!relayOf(scope.spec, vpc)) return '';
  const service = await cluster.createIfAbsent(RESOURCES.services, relayService(scope, vpc), { signal });
  const address = service.spec?.clusterIP;
  if (address) return address;
  throw new FarmError('ClusterUnfit', `The Service "${scope.names.relay(vpc)}" got no address from the cluster`);
}

/**
 * By KubeVirt's `portforward`, which goes to the first address of the VMI. The relay hears of it first, so that the other
 * machines find this one by its name; a relay that has gone is noticed here.
 */
async function dial(context: PhaseContext, scope: BuildScope, { port, signal }: { port: number; signal: AbortSignal }) {
  const { cluster } = context;
  const name = scope.names.machine(scope.vm.name);
  const [nic] = scope.plan.nics;
  const vpc = nic && subnetOf(scope.spec, nic).vpc;
  const isKnown = vpc !== undefined && (await informRelay({ ...context, signal }, scope, { vpc, vm: scope.vm.name }));
  if (!isKnown) throw new FarmError('ConnectionLost', `The machine "${scope.vm.name}" has no address yet.`);
  return await openMachinePort(cluster, name, { port, signal });
}

/** Sends a relay the address of a machine. False while the machine has no address. @throws as `putName` */
async function informRelay(
  { cluster, signal }: PhaseContext,
  scope: ModuleScope,
  { vpc, vm }: { readonly vpc: string; readonly vm: string },
): Promise<boolean> {
  const vmi = await cluster.get(RESOURCES.instances, scope.names.machine(vm), { signal });
  const address = vmi?.status?.interfaces?.[0]?.ipAddress;
  if (!address) return false;
  await putName(cluster, scope.names.relay(vpc), { name: vm, address, signal });
  return true;
}
