import { access, networkPolicies } from './access.ts';
import { autoscaling, monitoring } from './operations.ts';
import { type Manifest, type Part, text } from './parts.ts';
import { bundledRedis } from './redis.ts';
import type { Scope } from './values.ts';
import { workloads } from './workloads.ts';

/**
 * Everything that the farm is made of on a cluster, for the plain manifest and for the chart alike. Parts of the same
 * file and condition become one.
 */
export function manifests(scope: Scope): Part[] {
  const parts = [
    { file: 'namespace', when: { path: 'createFarmNamespace' }, objects: [farmNamespace(scope)] },
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

/**
 * Where the farm builds. Images are in it that nobody else has, so Helm leaves it when it uninstalls. KubeVirt's launcher
 * pods ask for a capability that `restricted` refuses; the relays are held to it by their spec.
 */
function farmNamespace({ values }: Scope): Manifest {
  const annotations = { 'helm.sh/resource-policy': 'keep' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: text`${values.farmNamespace}`, annotations } };
}

/** Namespace of the farm's processes, in the plain manifest; Helm makes it with `--create-namespace`. */
export function ownNamespace({ namespace }: Scope): Manifest {
  const level = 'pod-security.kubernetes.io';
  const labels = { [`${level}/enforce`]: 'restricted', [`${level}/warn`]: 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } };
}
