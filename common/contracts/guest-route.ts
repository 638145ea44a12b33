import { assert } from '../errors/farm-error.ts';
import type { LayerSpec, NicPlan, SubnetPlan, VmPlan } from './layers.ts';

/** The subnet of a NIC. */
export function subnetOf(spec: LayerSpec, nic: NicPlan): SubnetPlan {
  const subnet = spec.network.subnets.find(({ name }) => name === nic.subnet);
  assert(subnet, `The subnet "${nic.subnet}" of NIC "${nic.name}" is in the plan.`);
  return subnet;
}

/** The relay of a VPC: its subnet and address; undefined when the VPC has no managed subnet. */
export function relayOf(spec: LayerSpec, vpc: string): { subnet: SubnetPlan; address: string } | undefined {
  const subnet = spec.network.subnets.find((candidate) => candidate.vpc === vpc && candidate.relay !== null);
  return subnet?.relay ? { subnet, address: subnet.relay } : undefined;
}

/** A VM within its layer's specification. */
export interface PlannedVm {
  readonly spec: LayerSpec;
  readonly plan: Pick<VmPlan, 'nics'>;
}

/** By which card a guest is reached, and of which VPC the relay is that serves it. */
export interface GuestRoute {
  readonly vpc: string;
  readonly nic: NicPlan;
}

/** The first NIC with a planned address on a managed subnet decides; undefined when there is none. */
export function guestRoute({ spec, plan }: PlannedVm): GuestRoute | undefined {
  for (const nic of plan.nics) {
    const { vpc, unmanaged } = subnetOf(spec, nic);
    if (nic.ip !== null && !unmanaged && relayOf(spec, vpc)) return { vpc, nic };
  }
  return undefined;
}
