import type { IncomingMessage } from 'node:http';
import { ApiError } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { RESOURCES } from './resources.ts';

/** On the launcher pod of a machine: the uid of its VMI. */
const CREATED_BY = 'kubevirt.io/created-by';
/** KubeVirt's sidecar that prints the guest's first serial port, in whole lines. */
const CONTAINER = 'guest-console-log';
/** A guest may be silent for hours; a dead connection is reopened after this time. */
const IDLE_MS = 600_000;

/** Which part of the log of a serial port is read. */
export interface SerialLogOptions {
  /** Follow new output until the machine ends. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/**
 * The output of a VMI's first serial port, from the beginning: the log of a container of its launcher
 * pod. Any number of readers disturb neither each other nor a session of the subresource `console`. Undefined when there
 * is no such log: it has not begun, the pod is gone, or the machine has `logSerialConsole: false`.
 * @throws ClusterUnavailable, ClusterUnfit, ApiError, or the signal's reason
 */
export async function openSerialLog(
  cluster: ClusterClient,
  vmiUid: string,
  { follow, signal }: SerialLogOptions,
): Promise<IncomingMessage | undefined> {
  const { items } = await cluster.list(RESOURCES.pods, { labels: { [CREATED_BY]: vmiUid }, signal });
  const pod = items[0]?.metadata?.name;
  if (pod === undefined) return undefined;
  const path = `${cluster.path(RESOURCES.pods, pod, {})}/log`;
  const query = { container: CONTAINER, follow };
  try {
    return await cluster.stream({ method: 'GET', path, query, signal, idleMs: IDLE_MS });
  } catch (error) {
    if (error instanceof ApiError && (error.status === 400 || error.status === 404)) return undefined;
    throw error;
  }
}
