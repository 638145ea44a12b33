import { FarmError } from '../errors/farm-error.ts';
import { ApiError, isNotFound } from './api-error.ts';
import type { ClusterClient } from './cluster-client.ts';
import { subresourceRoot } from './subresource-stream.ts';

/**
 * Asks KubeVirt to start a VM. It is a request: watch the VMI. ApiError 409 when it runs already or a request is under
 * way. `paused` also switches on a boot menu of 10 s.
 */
export function startMachine(cluster: ClusterClient, vm: string, options: { paused?: boolean } = {}): Promise<void> {
  return act(cluster, `virtualmachines/${encodeURIComponent(vm)}/start`, options);
}

/**
 * Asks KubeVirt to stop a VM: ACPI, then by force after the grace period (the VMI's own by default; 0 at once).
 * ApiError 409 when it does not run.
 */
export function stopMachine(cluster: ClusterClient, vm: string, options: { gracePeriod?: number } = {}): Promise<void> {
  return act(cluster, `virtualmachines/${encodeURIComponent(vm)}/stop`, options);
}

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47]);

/** The screen of a running VMI as PNG, without disturbing the VNC session. Undefined when there is none, or it does not run. */
export async function screenshot(
  cluster: ClusterClient,
  vmi: string,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const path = `${subresourceRoot(cluster.namespace)}/virtualmachineinstances/${encodeURIComponent(vmi)}/vnc/screenshot`;
  try {
    const png = await cluster.call({ method: 'GET', path }, { retry: false, ...(signal ? { signal } : {}) });
    // KubeVirt drops the content type on the way.
    if (!png.subarray(0, 4).equals(PNG_SIGNATURE))
      throw new FarmError('ClusterUnavailable', `${path} did not return a PNG.`);
    return png;
  } catch (error) {
    if (isNotFound(error) || isInternalError(error, /not found|not running/)) return undefined;
    throw error;
  }
}

/** KubeVirt keeps one request to start or stop a VM at a time, and this one came while another waits. */
export function isUnderway(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && UNDERWAY.test(error.message);
}

const UNDERWAY = /already underway/;

/** Whether KubeVirt answered 500 with these words: some of its refusals come so. */
function isInternalError(error: unknown, words: RegExp): error is FarmError {
  return error instanceof FarmError && error.details['status'] === 500 && words.test(error.message);
}

/** Not repeated: after a lost answer the second request would conflict with the first. */
async function act(cluster: ClusterClient, action: string, body: object): Promise<void> {
  const path = `${subresourceRoot(cluster.namespace)}/${action}`;
  try {
    await cluster.call({ method: 'PUT', path, body }, { retry: false });
  } catch (error) {
    // A second request within a second: KubeVirt has not carried out the first yet.
    if (isInternalError(error, UNDERWAY)) throw new ApiError(409, 'Conflict', error.message);
    throw error;
  }
}
