import { packagePath } from '../../common/config/package-root.ts';
import { FOREIGN_KUBECONFIG } from '../harness/foreign-cluster.ts';
import { kubectl } from '../harness/kubectl.ts';
import { type KubernetesServer, startKubernetes } from './kubernetes-server.ts';

/** Before the first test of a run (vitest's globalSetup): an API server with the vendored definitions. */
export async function setup(): Promise<() => Promise<void>> {
  const server = await startKubernetes();
  await installDefinitions(server);
  process.env[FOREIGN_KUBECONFIG] = server.kubeconfig;
  return () => server.stop();
}

/** What the farm needs besides Kubernetes: the kinds of KubeVirt, CDI, KubeOVN, Multus and the snapshotter, and its namespace. */
export async function installDefinitions({ kubeconfig }: KubernetesServer): Promise<void> {
  await kubectl(kubeconfig, 'create', '-f', packagePath('embedded', 'api', 'crds'));
  await kubectl(kubeconfig, 'wait', 'crd', '--all', '--for=condition=Established', '--timeout=60s');
  await kubectl(kubeconfig, 'create', 'namespace', 'slipway');
}
