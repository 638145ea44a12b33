import type { Clock } from '../../../common/clock/clock.ts';
import { ApiError, notFound } from '../api-error.ts';
import { type Exchange, readObject, sendJson } from '../http/exchange.ts';
import { keyOfPath, methodNotAllowed } from '../http/resource-handler.ts';
import type { ResourcePath } from '../http/resource-path.ts';
import { fieldAt, type KubeObject, keyOf, timestamp } from '../objects.ts';
import type { Store } from '../store.ts';
import { isFinal } from './instance-state.ts';

const DISRUPTION = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' } as const;
const WEBHOOK = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request';

/**
 * `pods/eviction` (policy/v1), as a drain uses it: marks the pod and deletes it. KubeVirt's webhook refuses it for machines that
 * are to be migrated, which no machine here can be, and for those whose owner is to act on the request.
 */
export async function evictPod(
  exchange: Exchange,
  path: ResourcePath,
  { store, clock }: { readonly store: Store; readonly clock: Clock },
): Promise<void> {
  if (exchange.method !== 'POST') throw methodNotAllowed();
  const body = await readObject(exchange.request);
  const pod = store.get('Pod', keyOfPath(path));
  if (!pod) throw notFound(store.kindOf('Pod'), keyOfPath(path));
  const isDryRun = [exchange.url.searchParams.getAll('dryRun'), fieldAt(body, 'deleteOptions', 'dryRun')].some(
    (list) => Array.isArray(list) && list.includes('All'),
  );
  await askKubeVirt(store, pod, isDryRun);
  if (!isDryRun) {
    const grace = fieldAt(body, 'deleteOptions', 'gracePeriodSeconds');
    await mark(store, pod, timestamp(clock.now()));
    await store.delete('Pod', keyOf(pod), typeof grace === 'number' ? { gracePeriodSeconds: grace } : {});
  }
  sendJson(exchange.response, 201, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    code: 201,
  });
}

/** @throws ApiError 429 unless the launcher pod of a machine may be evicted */
async function askKubeVirt(store: Store, pod: KubeObject, isDryRun: boolean): Promise<void> {
  if (pod.metadata.labels?.['kubevirt.io'] !== 'virt-launcher' || isFinal(pod)) return;
  const name = pod.metadata.annotations?.['kubevirt.io/domain'] ?? '';
  const vmi = store.get('VirtualMachineInstance', { namespace: pod.metadata.namespace, name });
  const strategy = fieldAt(vmi?.spec, 'evictionStrategy');
  if (strategy === 'LiveMigrate') {
    throw refusal(`VMI ${name} is configured with an eviction strategy but is not live-migratable`);
  }
  if (!vmi || strategy !== 'External') return;
  const evacuation = `Eviction triggered evacuation of VMI "${pod.metadata.namespace}/${name}"`;
  if (vmi.status?.['evacuationNodeName']) throw refusal(`Evacuation in progress: ${evacuation}`);
  const evacuationNodeName = fieldAt(pod.spec, 'nodeName');
  if (!isDryRun) {
    await store.mutate('VirtualMachineInstance', keyOf(vmi), (draft) => {
      draft.status = { ...draft.status, evacuationNodeName };
    });
  }
  throw refusal(evacuation);
}

async function mark(store: Store, pod: KubeObject, lastTransitionTime: string): Promise<void> {
  await store.updateStatus('Pod', keyOf(pod), (status) => {
    const others = Array.isArray(status['conditions']) ? status['conditions'] : [];
    status['conditions'] = [
      ...others.filter((condition) => fieldAt(condition, 'type') !== DISRUPTION.type),
      { ...DISRUPTION, message: 'Eviction API: evicting', lastTransitionTime },
    ];
  });
}

function refusal(why: string): ApiError {
  return new ApiError(429, 'TooManyRequests', `${WEBHOOK}: ${why}`);
}
