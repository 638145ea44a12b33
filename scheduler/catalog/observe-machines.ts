import { LABELS } from '../../common/contracts/object-keys.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { KubernetesObject, Pod, VirtualMachine, VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import type { ObservedVm } from '../../common/redis/slots.ts';
import { parseQuantity } from '../../common/text/quantity.ts';

/** A VMI or a pod in these phases has given its node back. */
const ENDED = new Set(['Succeeded', 'Failed']);

/** Machines started from templates are people's own. */
export function buildMachines(farm: string): Record<string, string> {
  return { [LABELS.farm]: farm, [LABELS.role]: 'build' };
}

/** The pods that machines run in; they carry the labels of the machines' templates. */
export function launcherPods(farm: string): Record<string, string> {
  return { ...buildMachines(farm), 'kubevirt.io': 'virt-launcher' };
}

/**
 * The build machines that use something of a cluster, or will: a start was asked for, a VMI lives, or its pod does. They
 * are looked at in the order in which a start continues, so that no machine slips from one to the next between two looks.
 */
export async function observeMachines(
  cluster: ClusterClient,
  farm: string,
  signal: AbortSignal,
): Promise<ObservedVm[]> {
  const call = { labels: buildMachines(farm), signal, retry: false };
  const machines = await cluster.list(RESOURCES.machines, call);
  const instances = await cluster.list(RESOURCES.instances, call);
  const pods = await cluster.list(RESOURCES.pods, { ...call, labels: launcherPods(farm) });
  const observed = new Map<string, ObservedVm>();
  const see = (object: KubernetesObject, size: Pick<ObservedVm, 'cpu' | 'memoryBytes'>) => {
    const { layerBuild, generation, vm } = ownerOf(object);
    const key = `${layerBuild}/${generation}/${vm}`;
    if (!observed.has(key)) observed.set(key, { layerBuild, generation, vm, ...size });
  };
  for (const vm of machines.items) if (isStarting(vm)) see(vm, sizeOf(vm.spec.template.spec));
  for (const vmi of instances.items) if (!ENDED.has(vmi.status?.phase ?? '')) see(vmi, sizeOf(vmi.spec));
  for (const pod of pods.items) if (!ENDED.has(pod.status?.phase ?? '')) see(pod, requestsOf(pod));
  return [...observed.values()];
}

/** The part of an object that matters to `observeMachines`: equal texts, equal observations. */
export function traceOf(object: KubernetesObject): string {
  const { status } = object as { status?: { phase?: string } };
  return `${status?.phase ?? ''} ${isStarting(object as VirtualMachine)}`;
}

/** KubeVirt keeps a start here until it has made the VMI; a machine that is being deleted is never started. */
function isStarting({ metadata, status }: VirtualMachine): boolean {
  return !metadata?.deletionTimestamp && (status?.stateChangeRequests ?? []).some(({ action }) => action === 'Start');
}

function ownerOf({ metadata }: KubernetesObject): Pick<ObservedVm, 'layerBuild' | 'generation' | 'vm'> {
  const labels = metadata?.labels ?? {};
  return {
    layerBuild: labels[LABELS.layerBuild] ?? '',
    generation: Number(labels[LABELS.generation] ?? 0),
    vm: labels[LABELS.vm] ?? '',
  };
}

function sizeOf(spec: VirtualMachineInstance['spec'] | undefined): Pick<ObservedVm, 'cpu' | 'memoryBytes'> {
  const { cpu, memory } = spec?.domain ?? {};
  return {
    cpu: (cpu?.cores ?? 1) * (cpu?.sockets ?? 1) * (cpu?.threads ?? 1),
    memoryBytes: Math.round(parseQuantity(memory?.guest) ?? 0),
  };
}

/** Requests of the pod of a VMI that is gone: the only known size of the machine. */
function requestsOf({ spec }: Pod): Pick<ObservedVm, 'cpu' | 'memoryBytes'> {
  const containers = (spec?.['containers'] ?? []) as { resources?: { requests?: Record<string, string> } }[];
  const sum = (resource: string) =>
    containers.reduce((total, { resources }) => total + (parseQuantity(resources?.requests?.[resource]) ?? 0), 0);
  return { cpu: sum('cpu'), memoryBytes: Math.round(sum('memory')) };
}
