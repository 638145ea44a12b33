import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { eventsOf } from '../../common/kubernetes/diagnostics.ts';
import type { Pod, VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';

/** Labels of the pods in which KubeVirt runs a machine. */
export function launcherLabels(uid: string): Record<string, string> {
  return { 'kubevirt.io/created-by': uid };
}

/** Whether the node gives a pod up: a drain, a taint, a shutdown. The condition is on the pod alone. */
export function isDisrupted({ status }: Pod): boolean {
  return Boolean(status?.conditions?.some(({ type, status: is }) => type === 'DisruptionTarget' && is === 'True'));
}

/** Condition of a machine that KubeVirt paused because a write to its storage failed. It resumes only with free space. */
export function storageFault(vmi: VirtualMachineInstance | undefined): string | undefined {
  const paused = vmi?.status?.conditions?.find(({ type, status }) => type === 'Paused' && status === 'True');
  return paused?.reason === 'PausedIOError' ? (paused.message ?? paused.reason) : undefined;
}

/** Conditions of a VMI that explain why it does not run; the others follow from these. */
const RELEVANT = new Set(['PodScheduled', 'Synchronized', 'DataVolumesReady']);

/** Why a VMI does not run, in KubeVirt's words. */
export function falseConditions({ metadata, status }: VirtualMachineInstance): string[] {
  return (status?.conditions ?? [])
    .filter(({ type, status: is }) => is === 'False' && RELEVANT.has(type ?? ''))
    .map(
      ({ type, reason, message }) => `VirtualMachineInstance/${metadata?.name}: ${type}=False: ${reason}: ${message}`,
    );
}

/**
 * Everything that explains what became of a machine: the false conditions of its VMI, and the last warning Events of VM,
 * VMI and launcher pods. A missing node or image is reported on the pod only. A missing claim is in the conditions of the VMI.
 */
export async function evidenceOfMachine(cluster: ClusterClient, name: string): Promise<string[]> {
  const vmi = await cluster.get(RESOURCES.instances, name);
  const uid = vmi?.metadata?.uid;
  const pods = uid === undefined ? [] : (await cluster.list(RESOURCES.pods, { labels: launcherLabels(uid) })).items;
  const subjects = [
    { kind: 'VirtualMachine', name },
    { kind: 'VirtualMachineInstance', name },
    ...pods.map(({ metadata }) => ({ kind: 'Pod', name: metadata?.name ?? '' })),
  ];
  return [...(vmi ? falseConditions(vmi) : []), ...(await eventsOf(cluster, subjects))];
}
