import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { kubectl } from '../harness/kubectl.ts';
import { openSmallDisk, type SmallDisk } from '../harness/small-disk.ts';
import { tinyMachine } from '../harness/tiny-machine.ts';

const MIB = 1024 ** 2;
const BUILD_MS = 300_000;
const resources = new ReleaseStack();
let disk: SmallDisk;
let farm: TestFarm;
let image: Awaited<ReturnType<typeof serveFile>>;

beforeAll(async () => {
  disk = resources.use('disk', openSmallDisk(8192 * MIB), (opened) => opened.close());
  image = resources.use('image', await serveFile((await guestImages()).cloudImage), (served) => served.stop());
  farm = resources.use('farm', await startFarm({ dataDir: disk.path }), (started) => started.purge());
}, 180_000);

afterAll(() => resources.close(), 60_000);

const module = () => `
name: writer
vms:
${tinyMachine(image)}
      - type: shell
        shell:
          inline: |
            for piece in $(seq 1 300); do
              dd if=/dev/urandom of=/piece.$piece bs=1M count=2 conv=fsync 2>/dev/null
              sleep 1
            done
`;

test('a machine that finds the disk of its cluster full fails its module at once, as a fault of the cluster', {
  timeout: BUILD_MS,
}, async () => {
  const { buildId } = await farm.client.submit({ files: [{ path: 'm.yaml', text: module() }], variables: {} });
  let pausedAt = 0;
  for await (const event of farm.client.events(buildId)) {
    if (event.event === 'step-started') {
      disk.leave(16 * MIB);
      await kubectl(farm.connection.kubeconfig, '-n', 'slipway', 'wait', 'vmi', '--all', '--for=condition=Paused');
      pausedAt = Date.now();
    }
    if (event.event !== 'module-finished') continue;
    expect(event).toMatchObject({
      outcome: 'failed',
      failure: {
        reason: 'StorageFull',
        message: expect.stringContaining('The cluster paused the machine'),
        events: expect.arrayContaining([
          expect.stringContaining('IOerror: VM Paused due to not enough space on volume'),
        ]),
      },
    });
    break;
  }
  expect(Date.now() - pausedAt).toBeLessThan(30_000);
  // Another generation would find the same disk.
  expect((await farm.client.build(buildId)).modules).toMatchObject([{ name: 'writer', generation: 1 }]);
  disk.leave(undefined);
});
