import type { Limits } from '../../common/contracts/builds.ts';
import type { VmPlan } from '../../common/contracts/layers.ts';
import type { Finding } from './findings.ts';

/** Limits of the clusters, by their names. */
export type ClusterLimits = Readonly<Record<string, Limits>>;

/** All VMs of a module run at once, so the module must fit into at least one cluster when that is empty. */
export function limitFindings(vms: readonly VmPlan[], clusters: ClusterLimits): Finding[] {
  const reasons = Object.entries(clusters).map(([name, limits]) => excess(vms, name, limits));
  if (reasons.length === 0 || reasons.includes(null)) return [];
  return [{ code: 'ExceedsLimits', message: `it fits on no cluster: ${reasons.join('; ')}` }];
}

function excess(vms: readonly VmPlan[], cluster: string, limits: Limits): string | null {
  const sum = (amount: (vm: VmPlan) => number) => vms.reduce((total, vm) => total + amount(vm), 0);
  const needs = [
    { what: 'VMs', asked: vms.length, limit: limits.vms },
    { what: 'cores', asked: sum((vm) => vm.cpu), limit: limits.cpu },
    { what: 'bytes of memory', asked: sum((vm) => vm.memoryBytes), limit: limits.memoryBytes },
  ];
  const exceeded = needs.filter(({ asked, limit }) => asked > limit);
  if (exceeded.length === 0) return null;
  return `"${cluster}" has ${exceeded.map(({ what, asked, limit }) => `${limit} ${what}, ${asked} are asked`).join(' and ')}`;
}
