import type { LayerSpec, NicPlan } from '../../common/contracts/layers.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** Network features of a cluster. */
export interface NetworkOffer {
  readonly kind: NetworkKind;
  /** Whether it can give internet. */
  readonly hasEgress: boolean;
}

/** By name of the cluster; null where it is not known yet. */
export type NetworkOffers = Readonly<Record<string, NetworkOffer | null>>;

/** Requirements of a layer beyond the features of each kind of network: a clause each, none where it fits. */
const BEYOND: Readonly<Record<NetworkKind, (spec: LayerSpec) => string[]>> = {
  'kube-ovn': () => [],
  pod: beyondPodNetwork,
};

/** Why no cluster has the network that a layer asks for; empty when one has it, or may have it. */
export function networkProblems(spec: LayerSpec, offers: NetworkOffers): UnplacedProblem[] {
  const obstacles = obstaclesOf(spec, offers);
  if (obstacles.size === 0 || obstacles.size < Object.keys(offers).length) return [];
  const message = `no cluster has the network that it asks for: ${[...obstacles.values()].join('; ')}`;
  return [{ code: 'NetworkNotOffered', message }];
}

/** Why a layer cannot be built, by the clusters that have no network for it. */
export function obstaclesOf(spec: LayerSpec, offers: NetworkOffers): Map<string, string> {
  return new Map(
    Object.entries(offers).flatMap(([name, offer]) => {
      const obstacle = offer && networkObstacle(spec, name, offer);
      return obstacle === null ? [] : [[name, obstacle] as const];
    }),
  );
}

/** Why a layer cannot be built on a cluster because of its network; null when it can. */
function networkObstacle(spec: LayerSpec, cluster: string, { kind, hasEgress }: NetworkOffer): string | null {
  const beyond = BEYOND[kind](spec);
  if (beyond.length > 0) return `"${cluster}" has the pod network only, and ${beyond.join(', and ')}`;
  if (hasEgress) return null;
  const [vpc] = withInternet(spec, ({ isAsked }) => isAsked);
  return vpc === undefined ? null : `"${cluster}" has no externalSubnet, and the VPC "${vpc}" asks for internet`;
}

/** Whether a layer prefers internet access although the file does not ask for it. */
export function wishesInternet(spec: LayerSpec): boolean {
  return withInternet(spec, ({ isAsked }) => !isAsked).length > 0;
}

/** Whether a layer is built without the internet that it would rather have, on a cluster with this network. */
export function lacksInternet(spec: LayerSpec, offer: NetworkOffer | null | undefined): boolean {
  return offer?.hasEgress === false && wishesInternet(spec);
}

/** The same layer for a cluster without egress: default internet access is left out. */
export function withoutInternet(spec: LayerSpec): LayerSpec {
  const closed = new Set(withInternet(spec, ({ isAsked }) => !isAsked));
  const { vpcs, subnets } = spec.network;
  return {
    ...spec,
    network: {
      vpcs: vpcs.map((vpc) => (closed.has(vpc.name) ? { ...vpc, internet: false } : vpc)),
      subnets: subnets.map((subnet) => (closed.has(subnet.vpc) ? { ...subnet, egress: null } : subnet)),
    },
  };
}

/** The VPCs that have internet while building, by whether the module requests it. */
function withInternet(
  { module, network }: LayerSpec,
  selects: (vpc: { readonly isAsked: boolean }) => boolean,
): string[] {
  const automatic = new Set(module.network.vpcs.filter((vpc) => vpc.automatic).map(({ name }) => name));
  const overridden = new Set(module.buildOverrides.vpcs.map(({ name }) => name));
  return network.vpcs
    .filter(({ internet }) => internet)
    .filter(({ name }) => selects({ isAsked: !automatic.has(name) || overridden.has(name) }))
    .map(({ name }) => name);
}

/** A machine there has one card, whose address the cluster chooses, and a resolver and a way out that are the cluster's. */
function beyondPodNetwork({ module, network, vms }: LayerSpec): string[] {
  const cards = vms.flatMap(({ name, nics, templateNics }) => [
    { vm: name, nics },
    { vm: name, nics: templateNics },
  ]);
  const used = new Set(cards.flatMap(({ nics }) => nics.map(({ subnet }) => subnet)));
  const subnets = network.subnets.filter(({ name }) => used.has(name));
  const vpcs = [...new Set(subnets.map(({ vpc }) => vpc))];
  const unmanaged = new Set([...network.subnets, ...module.network.subnets].filter((one) => one.unmanaged).map(nameOf));
  const addressed = [...module.vms, ...module.buildOverrides.vms]
    .flatMap(({ name, nics }) => (nics ?? []).map(({ ip }) => ({ name, ip })))
    .find(({ ip }) => ip !== null);
  const several = cards.find(({ nics }) => nics.length !== 1);
  const bare = subnets.find(({ name, dhcp }) => unmanaged.has(name) || !dhcp);
  return [
    ...(several ? [`the VM "${several.vm}" has ${countOf(several.nics)} instead of one`] : []),
    ...(addressed ? [`the VM "${addressed.name}" asks for the address ${addressed.ip}`] : []),
    ...(vpcs.length > 1 ? [`its VMs are in ${vpcs.length} VPCs (${vpcs.join(', ')})`] : []),
    ...(bare ? [`the subnet "${bare.name}" ${unmanaged.has(bare.name) ? 'is unmanaged' : 'has no DHCP'}`] : []),
  ];
}

function countOf({ length }: readonly NicPlan[]): string {
  return `${length} network card${length === 1 ? '' : 's'}`;
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}
