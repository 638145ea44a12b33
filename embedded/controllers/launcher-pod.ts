import { type KubeObject, timestamp } from '../api/objects.ts';
import { shortHash } from '../host/layout.ts';
import { setCondition } from './conditions.ts';
import {
  type ControllerContext,
  isDeleting,
  keyText,
  ownerOfKind,
  ownerReference,
  removeFinalizers,
  uidOf,
} from './context.ts';
import type { Vmi } from './kubevirt-types.ts';
import { NODE_NAME } from './vmi-status.ts';

/** The container that prints the guest's first serial port: a sidecar, so an init container that stays. */
const SERIAL_LOG = { name: 'guest-console-log', restartPolicy: 'Always' } as const;

/** Keeps the pod while its machine lives: it goes when the guest has had its time to power off. */
const LAUNCHER_FINALIZER = 'embedded.slipway.dev/launcher';

/** On by default in KubeVirt for machines with a serial port. */
function keepsSerialLog({ spec }: Vmi): boolean {
  const { autoattachSerialConsole = true, logSerialConsole = true } = spec.domain.devices;
  return autoattachSerialConsole && logSerialConsole;
}

/** The pod that stands for the machine; it runs no process, but clients look for it, its phase and its annotations. */
export function launcherPodName(vmi: Vmi): string {
  return `virt-launcher-${vmi.metadata.name.slice(0, 200)}-${shortHash(uidOf(vmi), 5)}`;
}

/** Whether a pod stands for a machine and must not be run. */
export function isLauncherPod(pod: KubeObject): boolean {
  return pod.metadata.labels?.['kubevirt.io'] === 'virt-launcher';
}

/** Whether a container of a launcher pod is the one that prints the serial port. */
export function isSerialLog(container: string): boolean {
  return container === SERIAL_LOG.name;
}

/** Makes the launcher pod, unless it is there. */
export async function ensureLauncherPod({ store, events }: ControllerContext, vmi: Vmi): Promise<void> {
  const name = launcherPodName(vmi);
  const { namespace } = vmi.metadata;
  if (store.get('Pod', { namespace, name })) return;
  await store.create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        ...vmi.metadata.labels,
        'kubevirt.io': 'virt-launcher',
        'kubevirt.io/created-by': uidOf(vmi),
        'vm.kubevirt.io/name': vmi.metadata.name,
        'vmi.kubevirt.io/id': vmi.metadata.name.length > 63 ? shortHash(vmi.metadata.name, 32) : vmi.metadata.name,
      },
      annotations: annotationsOf(vmi),
      finalizers: [LAUNCHER_FINALIZER],
      ownerReferences: [ownerReference(vmi)],
    },
    spec: {
      nodeName: NODE_NAME,
      restartPolicy: 'Never',
      containers: [{ name: 'compute', image: 'virt-launcher' }],
      ...(keepsSerialLog(vmi) ? { initContainers: [{ ...SERIAL_LOG, image: 'virt-launcher' }] } : {}),
    },
    status: { phase: 'Pending' },
  });
  events.record(vmi, { type: 'Normal', reason: 'SuccessfulCreate', message: `Created virtual machine pod ${name}` });
}

function annotationsOf({ metadata }: Vmi): { [name: string]: string } {
  const inherited = Object.entries(metadata.annotations ?? {}).filter(([name]) => !name.startsWith('kubectl.'));
  return { ...Object.fromEntries(inherited), 'kubevirt.io/domain': metadata.name };
}

/** Hears the key of a machine whose pod is to go, as by a drain. */
export function onLauncherLeaving({ store, signal }: ControllerContext, listener: (machine: string) => void): void {
  store.subscribe(
    ['Pod'],
    ({ object }) => {
      const machine = isLauncherPod(object) && isDeleting(object) && ownerOfKind(object, 'VirtualMachineInstance');
      if (machine) listener(keyText({ namespace: object.metadata.namespace, name: machine.name }));
    },
    signal,
  );
}

/** The pod; undefined before the machine was started, and after it was removed with force. */
export function launcherPodOf({ store }: ControllerContext, vmi: Vmi): KubeObject | undefined {
  return store.get('Pod', { namespace: vmi.metadata.namespace, name: launcherPodName(vmi) });
}

/** Shows in the pod what became of the machine. A pod that was to go goes when its machine has ended. */
export async function writeLauncherPhase(
  { store, clock }: ControllerContext,
  vmi: Vmi,
  phase: 'Running' | 'Succeeded' | 'Failed',
): Promise<void> {
  const key = { namespace: vmi.metadata.namespace, name: launcherPodName(vmi) };
  if (!store.get('Pod', key)) return;
  const now = timestamp(clock.now());
  const pod = await store.updateStatus('Pod', key, (status) => {
    status['phase'] = phase;
    setCondition(status, { type: 'PodScheduled', status: 'True' }, now);
    setCondition(status, { type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }, now);
  });
  if (phase !== 'Running') await removeFinalizers(store, pod, [LAUNCHER_FINALIZER]);
}
