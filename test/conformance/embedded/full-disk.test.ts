import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { generateKeyPair } from '../../../common/ssh/key-pair.ts';
import { serveFile } from '../../harness/file-server.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { openSmallDisk, type SmallDisk } from '../../harness/small-disk.ts';
import { runInGuest, streamClient } from '../machines/guest-login.ts';
import { Laboratory, NAMESPACE, type Seen } from '../machines/laboratory.ts';
import { createLan } from '../machines/lan.ts';
import { FORWARDER, machine, scriptPod } from '../machines/manifests.ts';

const MIB = 1024 ** 2;
const key = generateKeyPair('conformance');
const resources = new ReleaseStack();
let disk: SmallDisk;
let laboratory: Laboratory;
let client: ClusterClient;

beforeAll(async () => {
  disk = resources.use('disk', openSmallDisk(4096 * MIB), (opened) => opened.close());
  const image = resources.use('image', await serveFile((await guestImages()).cloudImage), (served) => served.stop());
  const options = { dataDir: disk.path, podCommands: { forwarder: FORWARDER } };
  laboratory = resources.use('laboratory', await Laboratory.open(options), (opened) => opened.close());
  client = streamClient(laboratory.cluster.kubeconfig);
  await createLan(laboratory, '10.88.0.0/24', key.publicKey);
  const pod = { network: 'lan', ip: '10.88.0.2', image: 'forwarder', args: ['2210', '10.88.0.10', '22'] };
  await laboratory.create('Pod', scriptPod('way-in', pod));
  const writer = { source: { http: { url: image.url } }, network: 'lan', ip: '10.88.0.10', mac: '02:00:00:88:00:10' };
  await laboratory.create('VirtualMachine', machine('writer', writer));
  await laboratory.act('virtualmachines/writer/start');
  await laboratory.untilPhase('VirtualMachineInstance', 'writer', 'Running');
}, 60_000);

afterAll(() => resources.close(), 60_000);

const inGuest = (command: string) =>
  runInGuest({ client, pod: 'way-in', port: 2210, privateKey: key.privateKey, deadlineMs: 90_000 }, command);
const conditionOf = ({ status }: Seen, type: string) => status?.conditions?.find((one) => one.type === type);
const untilPaused = (isPaused: boolean) =>
  laboratory.until(
    'VirtualMachineInstance',
    'writer',
    (vmi) => (conditionOf(vmi, 'Paused') !== undefined) === isPaused,
  );

interface SeenEvent {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
}

async function faults(): Promise<SeenEvent[]> {
  const { body } = await laboratory.client.send('GET', `/api/v1/namespaces/${NAMESPACE}/events`);
  return (body as unknown as { items: SeenEvent[] }).items.filter(({ reason }) => reason === 'IOerror');
}

test('a machine that finds the disk of the cluster full stands still, as KubeVirt has it, and continues when there is room', {
  timeout: 240_000,
}, async () => {
  await inGuest('true');
  disk.leave(8 * MIB);
  const written = inGuest('dd if=/dev/urandom of=/fill bs=1M count=64 conv=fsync 2>&1 && sha256sum < /fill');
  const paused = await untilPaused(true);
  expect(paused.status?.phase).toBe('Running');
  expect(conditionOf(paused, 'Paused')).toMatchObject({
    status: 'True',
    reason: 'PausedIOError',
    message: 'VMI was paused, low-level IO error detected',
  });
  expect(conditionOf(paused, 'Ready')).toMatchObject({ status: 'False', reason: 'GuestNotRunning' });
  const message = 'VM Paused due to not enough space on volume: root';
  expect(await faults()).toMatchObject([{ type: 'Warning', message }]);
  // KubeVirt lets the machine continue at once, which fails again, and then after 10 s.
  await expect.poll(async () => (await faults())[0]?.count).toBeGreaterThan(1);
  disk.leave(undefined);
  await untilPaused(false);
  expect(await written).toContain('64+0 records out');
});
