import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { ClusterClient } from '../harness/cluster-client.ts';
import { foreignKubeconfig } from '../harness/foreign-cluster.ts';
import { helmBinary } from '../harness/helm.ts';

const kubeconfig = foreignKubeconfig ?? '';
const client = new ClusterClient(kubeconfig);
const CHART = packagePath('deploy', 'helm', 'slipway');
const SYSTEM = 'helm-system';
const FARM = ['--set', 'farmNamespace=helm-farm'];
let program: string;

beforeAll(async () => {
  program = await helmBinary();
});

afterAll(async () => {
  for (const namespace of [SYSTEM, 'helm-farm', 'helm-second']) {
    await client.send('DELETE', `/api/v1/namespaces/${namespace}`);
  }
  await client.close();
});

async function helm(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { env: { ...process.env, KUBECONFIG: kubeconfig } });
  return stdout;
}

async function replicasOf(deployment: string): Promise<unknown> {
  const { body } = await client.send('GET', `/apis/apps/v1/namespaces/${SYSTEM}/deployments/${deployment}`);
  return (body['spec'] as { replicas: number } | undefined)?.replicas;
}

async function codeOf(path: string): Promise<number> {
  return (await client.send('GET', path)).code;
}

test('the chart is installed as documented, upgraded, rolled back and uninstalled by the real Helm', async () => {
  expect(await helm('lint', '--strict', CHART)).toContain('0 chart(s) failed');
  const namespace = ['--namespace', SYSTEM];
  const installed = await helm('install', 'slipway', CHART, ...namespace, '--create-namespace', ...FARM);
  expect(installed).toContain('STATUS: deployed');
  expect(await codeOf('/api/v1/namespaces/helm-farm')).toBe(200);
  expect(await replicasOf('slipway-provision')).toBe(2);

  const more = ['--set', 'workers.provision.replicas=5'];
  expect(await helm('upgrade', 'slipway', CHART, ...namespace, ...FARM, ...more)).toContain('STATUS: deployed');
  expect(await replicasOf('slipway-provision')).toBe(5);
  await helm('rollback', 'slipway', '1', ...namespace);
  expect(await replicasOf('slipway-provision')).toBe(2);

  const second = await helm(
    'install',
    'slipway',
    CHART,
    '--namespace',
    'helm-second',
    '--create-namespace',
    ...FARM,
    '--set',
    'createFarmNamespace=false',
  );
  expect(second).toContain('STATUS: deployed');
  await helm('uninstall', 'slipway', '--namespace', 'helm-second');
  await helm('uninstall', 'slipway', ...namespace);
  expect(await replicasOf('slipway-provision')).toBeUndefined();
  // Images stay until a person removes them.
  expect(await codeOf('/api/v1/namespaces/helm-farm')).toBe(200);
}, 180_000);

test.each([
  ['workers.import.concurrency=-3', 'concurrency'],
  ['autoscaling.by=magic', 'autoscaling'],
  ['redis.scheme=ftp', 'scheme'],
  ['networkPolicy.enabled=perhaps', 'networkPolicy'],
  ['bogus.key=1', 'bogus'],
])('the chart refuses %s before anything is made', async (setting, named) => {
  const args = ['install', 'refused', CHART, '--namespace', 'default', ...FARM, '--set', setting];
  await expect(helm(...args)).rejects.toThrow(named);
  expect(await helm('list', '--namespace', 'default', '--short')).toBe('');
});
