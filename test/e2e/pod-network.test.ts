import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { kubectl, remainingObjects } from '../harness/kubectl.ts';

const BUILD_MS = 600_000;
const MODULES = packagePath('test', 'e2e', 'modules', 'pod-network.yaml');

/* The farm on a cluster without KubeOVN: found as such by itself, nothing configured. */
const resources = new ReleaseStack();
let farm: TestFarm;
let variables: Record<string, string>;

beforeAll(async () => {
  const image = await serveFile((await guestImages()).cloudImage);
  resources.defer('image', () => image.stop());
  variables = { IMAGE_URL: image.url, IMAGE_SHA256: image.sha256 };
  farm = await startFarm({ flags: ['--network', 'pod', '--vms', '3'] });
  resources.defer('farm', () => farm.purge());
}, 240_000);

afterAll(() => resources.close(), 120_000);

/** A foreign pod in the farm namespace, which answers on port 8080. Gives its address. */
async function startStranger(): Promise<string> {
  const container = {
    ...{
      name: 'stranger',
      image: 'slipway:local',
      args: ['--address', '0.0.0.0', '--http-port', '8080', '--files', '/f'],
    },
    volumeMounts: [{ name: 'files', mountPath: '/f' }],
  };
  const overrides = { spec: { containers: [container], volumes: [{ name: 'files', emptyDir: {} }] } };
  const { kubeconfig } = farm.connection;
  const own = ['-n', 'slipway'];
  await kubectl(
    ...[kubeconfig, ...own, 'run', 'stranger', '--image', 'slipway:local'],
    ...['--override-type', 'strategic', '--overrides', JSON.stringify(overrides)],
  );
  await kubectl(kubeconfig, ...own, 'wait', 'pod/stranger', '--for=condition=Ready', '--timeout=60s');
  return await kubectl(kubeconfig, ...own, 'get', 'pod', 'stranger', '-o', 'jsonpath={.status.podIP}');
}

async function takesConnections(host: string): Promise<boolean> {
  const socket = connect(8080, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

test('machines of a module find each other and their relay, and nothing else', { timeout: BUILD_MS }, async () => {
  const stranger = await startStranger();
  // This host is the node: no policy is about it.
  await expect.poll(() => takesConnections(stranger), { timeout: 30_000 }).toBe(true);
  const submission = { files: readModuleFiles([MODULES]), variables: { ...variables, FOREIGN: stranger } };
  const { buildId, plan } = await farm.client.submit(submission);
  expect(plan.warnings).toEqual([]);
  const lines: string[] = [];
  let outcome: string | undefined;
  for await (const event of farm.client.events(buildId)) {
    if (event.event === 'log' && event.source === 'step') lines.push(`${event.vm}: ${event.line}`);
    if (event.event === 'build-finished') outcome = event.outcome;
  }
  expect(outcome, lines.join('\n')).toBe('succeeded');
  expect(lines).toEqual(
    expect.arrayContaining([
      'store: back',
      ...['address 10.77.0.2/24', 'file served', 'store SSH-, in full SSH-', 'foreign closed'].map(
        (line) => `front: ${line}`,
      ),
    ]),
  );
  for (const kind of ['networkpolicies', 'services', 'vmi']) {
    expect(await remainingObjects(farm.connection.kubeconfig, kind, 'slipway.dev/role=build')).toEqual([]);
  }
});

test('what the pod network has not is refused before anything is built', async () => {
  const text = `
name: fixed
network: { vpcs: [{ name: lab }], subnets: [{ name: net, vpc: lab, cidr: 10.9.0.0/24 }] }
vms: [{ name: vm, source: { blank: true }, nics: [{ name: a, subnet: net, ip: 10.9.0.9 }] }]
`;
  await expect(farm.client.submit({ files: [{ path: 'fixed.yaml', text }], variables: {} })).rejects.toMatchObject({
    code: 'NetworkNotOffered',
    message: expect.stringContaining('"local" has the pod network only, and the VM "vm" asks for the address 10.9.0.9'),
  });
});
