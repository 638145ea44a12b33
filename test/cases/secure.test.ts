import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { kubectl } from '../harness/kubectl.ts';

/** Under emulation the firmware takes its time to check a kernel. */
const BUILD_MS = 600_000;

let farm: TestFarm;
let image: ServedFile;

beforeAll(async () => {
  image = await serveFile((await guestImages()).signedImage);
  farm = await startFarm();
}, 240_000);

afterAll(async () => {
  await farm?.purge();
  await image?.stop();
}, 60_000);

test('firmware: a module with Secure Boot, a TPM and a USB disk is built', {
  timeout: BUILD_MS,
}, async () => {
  const file = packagePath('test', 'cases', 'secure.yaml');
  const variables = ['--var', `IMAGE_URL=${image.url}`, '--var', `IMAGE_SHA256=${image.sha256}`];
  const { exitCode, stdout, stderr } = await farm.slipway('build', file, '--json', ...variables);
  expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
  const events: FarmEvent[] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const lines = events.flatMap((event) => (event.event === 'log' ? [event.line] : []));
  expect(lines).toContainEqual(expect.stringMatching(/^secure boot: +1$/));
  expect(lines).toContainEqual(expect.stringMatching(/^measured: (?!0{64})[0-9A-F]{64}$/));
  expect(lines).toContainEqual(expect.stringMatching(/^stick: kept \/sys\/.*\/usb\d/));

  const templates = await kubectl(
    ...([farm.connection.kubeconfig, 'get', 'vm', '-A', '-l', 'slipway.dev/role=template', '-o', 'json'] as const),
  );
  const template = JSON.parse(templates).items.find(
    (vm: { metadata: { labels: Record<string, string> } }) => vm.metadata.labels['slipway.dev/module'] === 'secure',
  );
  expect(template.spec.template.spec.domain).toMatchObject({
    features: { smm: { enabled: true } },
    firmware: { bootloader: { efi: { secureBoot: true } } },
    devices: { tpm: {}, disks: [{ bootOrder: 1 }, { disk: { bus: 'usb' } }] },
  });
});
