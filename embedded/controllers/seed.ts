import type { KubeObject } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { DEFAULT_VPC } from './networks.ts';

/** What KubeOVN itself creates: the VPC of subnets that name none. */
const SEEDS: readonly KubeObject[] = [
  { apiVersion: 'kubeovn.io/v1', kind: 'Vpc', metadata: { name: DEFAULT_VPC }, spec: {} },
];

/** Creates what the controllers rely on, where it is absent. */
export async function seedCluster(store: Store): Promise<void> {
  for (const object of SEEDS) {
    if (!store.get(object.kind, { name: object.metadata.name })) await store.create(object);
  }
}
