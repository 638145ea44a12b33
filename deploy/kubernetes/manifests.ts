import { access, networkPolicies } from './access.ts';
import { autoscaling, monitoring } from './operations.ts';
import type { Manifest, Part } from './parts.ts';
import { bundledRedis } from './redis.ts';
import type { Scope } from './values.ts';
import { workloads } from './workloads.ts';

/**
 * Everything that the farm is made of on a cluster, for the plain manifest and for the chart alike. Parts of the same
 * file and condition become one.
 */
export function manifests(scope: Scope): Part[] {
  const parts = [
    ...access(scope),
    ...workloads(scope),
    ...bundledRedis(scope),
    ...networkPolicies(scope),
    ...monitoring(scope),
    ...autoscaling(scope),
  ];
  const merged = new Map<string, Part>();
  for (const part of parts) {
    const known = merged.get(part.file);
    merged.set(part.file, known ? { ...known, objects: [...known.objects, ...part.objects] } : part);
  }
  return [...merged.values()];
}

/** Namespaces of the plain manifest; `helm install --create-namespace` makes the first, the second is yours. */
export function namespaces({ namespace, values }: Scope): Manifest[] {
  const level = 'pod-security.kubernetes.io';
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { [`${level}/enforce`]: 'restricted', [`${level}/warn`]: 'restricted' } },
    },
    // KubeVirt's launcher pods ask for a capability that `restricted` refuses; the relays are held to it by their spec.
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: String(values.farmNamespace) } },
  ];
}
