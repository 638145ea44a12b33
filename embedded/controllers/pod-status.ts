import { fieldAt, type JsonObject, type KubeObject, timestamp } from '../api/objects.ts';
import { setCondition } from './conditions.ts';
import type { ControllerContext } from './context.ts';
import { containerOf } from './pod-spec.ts';

/** State of a pod's only container. */
export type ContainerState =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message: string }
  | { readonly kind: 'running' }
  | { readonly kind: 'terminated'; readonly exitCode: number; readonly reason: string; readonly message?: string };

/** Input of a pod's status. */
export interface PodChange {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly state: ContainerState;
  readonly podIp?: string | undefined;
  readonly restarts?: number;
}

/** Writes a pod's status as a kubelet would. */
export async function writePodStatus(context: ControllerContext, pod: KubeObject, change: PodChange): Promise<void> {
  const { store, clock } = context;
  if (store.get('Pod', pod.metadata)?.metadata.uid !== pod.metadata.uid) return;
  const now = timestamp(clock.now());
  await store.updateStatus('Pod', pod.metadata, (status) => {
    const isReady = change.state.kind === 'running';
    status['phase'] = change.phase;
    status['startTime'] ??= now;
    status['hostIP'] = '127.0.0.1';
    if (change.podIp) Object.assign(status, { podIP: change.podIp, podIPs: [{ ip: change.podIp }] });
    setCondition(status, { type: 'PodScheduled', status: 'True' }, now);
    setCondition(status, { type: 'Initialized', status: 'True' }, now);
    for (const type of ['ContainersReady', 'Ready']) {
      setCondition(status, { type, status: isReady ? 'True' : 'False' }, now);
    }
    const before = fieldAt(status, 'containerStatuses', 0);
    status['containerStatuses'] = [containerStatus(pod, change, { before, now })];
  });
}

/** How often the container has been started again. */
export function restartsOf(pod: KubeObject): number {
  return Number(fieldAt(pod.status, 'containerStatuses', 0, 'restartCount') ?? 0);
}

function containerStatus(
  pod: KubeObject,
  { state, restarts }: PodChange,
  { before, now }: { readonly before: unknown; readonly now: string },
): JsonObject {
  const { name, image } = containerOf(pod);
  const startedAt = fieldAt(before, 'state', 'running', 'startedAt') ?? now;
  const states: Record<ContainerState['kind'], () => JsonObject> = {
    waiting: () => ({ waiting: { ...state, kind: undefined } }),
    running: () => ({ running: { startedAt } }),
    terminated: () => ({ terminated: { ...state, kind: undefined, startedAt, finishedAt: now } }),
  };
  return {
    name,
    image,
    imageID: image,
    ready: state.kind === 'running',
    started: state.kind === 'running',
    restartCount: restarts ?? restartsOf(pod),
    state: JSON.parse(JSON.stringify(states[state.kind]())),
  };
}
