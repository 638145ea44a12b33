import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../api/objects.ts';
import { closeEgress } from '../network/egress.ts';
import { ensureNamespace, removeNamespace, vpcNamespace } from '../network/namespaces.ts';
import { type ControllerContext, ensureFinalizer, isDeleting, queueFor, removeFinalizers } from './context.ts';
import { DEFAULT_VPC } from './networks.ts';

export const KUBEOVN_FINALIZER = 'kubeovn.io/kube-ovn-controller';

/** VPCs: a network namespace each, from the first moment until no subnet is left in them. */
export function startVpcController(context: ControllerContext): void {
  const queue = queueFor(context, 'Vpc', (key) => reconcile(context, key));
  context.store.subscribe(
    ['Subnet'],
    ({ object }) => queue.add(String(object.spec?.['vpc'] || DEFAULT_VPC)),
    context.signal,
  );
}

async function reconcile(context: ControllerContext, key: ObjectKey): Promise<void> {
  const { store, layout } = context;
  const vpc = store.get('Vpc', key);
  if (!vpc) return;
  const namespace = vpcNamespace(layout, key.name);
  const subnets = store
    .list('Subnet')
    .filter(({ spec }) => (spec?.['vpc'] || DEFAULT_VPC) === key.name)
    .map(({ metadata }) => metadata.name);
  if (isDeleting(vpc) && subnets.length === 0) {
    await closeEgress({ layout, vpc: key.name, namespace });
    await removeNamespace(namespace);
    await removeFinalizers(store, vpc, [KUBEOVN_FINALIZER]);
    return;
  }
  await ensureFinalizer(store, vpc, KUBEOVN_FINALIZER);
  await ensureNamespace(namespace, { isRouter: true });
  const status = { standby: true, default: key.name === DEFAULT_VPC, router: key.name, subnets };
  if (isDeepStrictEqual({ ...vpc.status, ...status }, vpc.status)) return;
  await store.updateStatus('Vpc', key, (current) => void Object.assign(current, status));
}
