import { FarmError } from '../errors/farm-error.ts';
import { isNotFound } from './api-error.ts';
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

/** The screen of a running VMI as PNG, without disturbing the VNC session. Undefined when there is no VMI. */
export async function screenshot(
  cluster: ClusterClient,
  vmi: string,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const path = `${subresourceRoot(cluster.namespace)}/virtualmachineinstances/${encodeURIComponent(vmi)}/vnc/screenshot`;
  try {
    const png = await cluster.call({ method: 'GET', path }, { retry: false, ...(signal ? { signal } : {}) });
    // KubeVirt drops the content type on the way.
    if (!png.subarray(0, 4).equals(PNG_SIGNATURE)) throw new FarmError('ClusterUnavailable', `${path} gave no PNG`);
    return png;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Not repeated: after a lost answer the second request would conflict with the first. */
async function act(cluster: ClusterClient, action: string, body: object): Promise<void> {
  const path = `${subresourceRoot(cluster.namespace)}/${action}`;
  await cluster.call({ method: 'PUT', path, body }, { retry: false });
}
