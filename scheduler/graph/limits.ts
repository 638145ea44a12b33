import type { Limits } from '../../common/contracts/builds.ts';
import type { VmPlan } from '../../common/contracts/layers.ts';
import { exactSize } from '../../common/text/size-text.ts';
import type { UnplacedProblem } from './planning-problems.ts';

/** Limits of the clusters, by their names. */
export type ClusterLimits = Readonly<Record<string, Limits>>;

/** All VMs of a module run at once, so the module must fit into at least one cluster when that is empty. */
export function limitProblems(vms: readonly VmPlan[], clusters: ClusterLimits): UnplacedProblem[] {
  const reasons = Object.entries(clusters).map(([name, limits]) => excess(vms, name, limits));
  if (reasons.length === 0 || reasons.includes(null)) return [];
  return [{ code: 'ExceedsLimits', message: `it fits on no cluster: ${reasons.join('; ')}` }];
}

/** Requests of concurrent VMs beyond the limits of a cluster; null when they fit. */
export function excess(vms: readonly VmPlan[], cluster: string, limits: Limits): string | null {
  const sum = (amount: (vm: VmPlan) => number) => vms.reduce((total, vm) => total + amount(vm), 0);
  const needs = [
    { what: 'VMs', asked: vms.length, limit: limits.vms, format: String },
    { what: 'cores', asked: sum((vm) => vm.cpu), limit: limits.cpu, format: String },
    { what: 'of memory', asked: sum((vm) => vm.memoryBytes), limit: limits.memoryBytes, format: exactSize },
  ];
  const exceeded = needs.filter(({ asked, limit }) => asked > limit);
  if (exceeded.length === 0) return null;
  const lacks = exceeded.map(({ what, asked, limit, format }) => `${format(asked)} ${what} (limit ${format(limit)})`);
  return `"${cluster}" is too small for ${lacks.join(' and ')}`;
}
