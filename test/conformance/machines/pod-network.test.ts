import { afterAll, beforeAll, expect, test } from 'vitest';
import { Laboratory } from './laboratory.ts';
import { LISTENER, PROBE } from './manifests.ts';

/*
 * What a cluster without KubeOVN gives: pods on one network, Services, and NetworkPolicies that a CNI enforces. The half
 * that is about machines is in test/e2e/pod-network.test.ts.
 */
const PORT = 4000;
let laboratory: Laboratory;
let probes = 0;

beforeAll(async () => {
  laboratory = await Laboratory.open({
    podCommands: { listener: LISTENER, probe: PROBE },
    config: { network: 'pod' },
  });
  await laboratory.create('Service', {
    metadata: { name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: PORT }] },
  });
  await laboratory.create('Pod', pod('web', 'listener', { labels: { app: 'web' }, args: [String(PORT)] }));
  await laboratory.untilPhase('Pod', 'web', 'Running');
});

afterAll(() => laboratory?.close());

function pod(name: string, image: string, { labels = {}, args = [] as string[] }) {
  const containers = [{ name: 'script', image, args }];
  return { metadata: { name, labels }, spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 1, containers } };
}

async function addressOf(kind: 'Pod' | 'Service', name: string): Promise<string> {
  const seen = (await laboratory.get(kind, name)) as { status?: { podIP?: string }; spec?: { clusterIP?: string } };
  return (kind === 'Pod' ? seen.status?.podIP : seen.spec?.clusterIP) ?? '';
}

/** Whether a new pod with these labels connects. */
async function connects(host: string, port: number, labels: Record<string, string> = {}): Promise<boolean> {
  const name = `probe-${++probes}`;
  await laboratory.create('Pod', pod(name, 'probe', { labels, args: [host, String(port)] }));
  const { status } = await laboratory.until('Pod', name, (seen) =>
    ['Succeeded', 'Failed'].includes(seen.status?.phase ?? ''),
  );
  return status?.phase === 'Succeeded';
}

test('serves nothing of KubeOVN and Multus', async () => {
  for (const group of ['kubeovn.io', 'k8s.cni.cncf.io']) {
    expect((await laboratory.client.send('GET', `/apis/${group}/v1`)).code).toBe(404);
  }
});

test('lets pods reach each other, by their addresses and by that of a Service, and the policies forbid', async () => {
  const [web, service] = [await addressOf('Pod', 'web'), await addressOf('Service', 'web')];
  expect(await Promise.all([connects(web, PORT), connects(service, 80), connects(service, PORT)])).toEqual([
    true,
    true,
    false,
  ]);
  await laboratory.create('NetworkPolicy', {
    metadata: { name: 'only-friends' },
    spec: {
      podSelector: { matchLabels: { app: 'web' } },
      ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: 'friend', operator: 'Exists' }] } }] }],
    },
  });
  await laboratory.create('NetworkPolicy', {
    metadata: { name: 'homebodies' },
    spec: { podSelector: { matchLabels: { homebody: 'yes' } }, policyTypes: ['Egress'], egress: [] },
  });
  expect(
    await Promise.all([
      connects(web, PORT),
      connects(service, 80),
      connects(service, 80, { friend: 'yes' }),
      connects(web, PORT, { friend: 'yes', homebody: 'yes' }),
    ]),
  ).toEqual([false, false, true, false]);
  await laboratory.delete('NetworkPolicy', 'only-friends');
  expect(await connects(web, PORT)).toBe(true);
});

test('refuses a Service without ports, and keeps the address of one', async () => {
  const { client } = laboratory;
  const bare = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'bare' }, spec: { selector: { app: 'web' } } };
  expect((await client.send('POST', laboratory.path('Service'), bare)).code).toBe(422);
  const path = laboratory.path('Service', 'web');
  const moved = await client.exchange({
    ...{ method: 'PATCH', path, body: { spec: { clusterIP: '100.88.9.9' } } },
    headers: { 'content-type': 'application/merge-patch+json' },
  });
  expect(moved.code).toBe(422);
});

test('starts no machine that asks for more than one masqueraded card', async () => {
  await laboratory.create('VirtualMachineInstance', {
    metadata: { name: 'bridged' },
    spec: {
      domain: { memory: { guest: '64Mi' }, devices: { interfaces: [{ name: 'a', bridge: {} }] } },
      networks: [{ name: 'a', pod: {} }],
    },
  });
  const { status } = await laboratory.until('VirtualMachineInstance', 'bridged', (seen) =>
    (seen.status?.conditions ?? []).some(({ type }) => type === 'Synchronized'),
  );
  expect(status?.conditions).toContainEqual(
    expect.objectContaining({ reason: 'FailedCreate', message: expect.stringContaining('the pod network only') }),
  );
});
