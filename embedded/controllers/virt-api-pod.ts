import type { KubeObject } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { NODE_NAME } from './vmi-status.ts';

const NAME = 'virt-api';
const NAMESPACE = 'kubevirt';

/** Whether a pod stands for KubeVirt's API server, which is this process. */
export function isVirtApi({ metadata }: KubeObject): boolean {
  return metadata.namespace === NAMESPACE && metadata.name === NAME;
}

/** Shows KubeVirt's API server as a pod: it connects to machines, so NetworkPolicies must be able to name it. */
export async function ensureVirtApi(store: Store, address: string): Promise<void> {
  const key = { namespace: NAMESPACE, name: NAME };
  if (!store.get('Pod', key)) {
    await store.create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...key, labels: { 'kubevirt.io': NAME } },
      spec: { nodeName: NODE_NAME, containers: [{ name: NAME, image: NAME }] },
    });
  }
  await store.updateStatus('Pod', key, (status) => {
    Object.assign(status, { phase: 'Running', podIP: address, podIPs: [{ ip: address }] });
  });
}
