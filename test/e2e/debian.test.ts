import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';

let farm: TestFarm;
let image: ServedFile;

beforeAll(async () => {
  const { debianImage } = await guestImages('debian');
  if (debianImage === null) throw new Error('The Debian guest was asked for and not built.');
  image = await serveFile(debianImage);
  farm = await startFarm();
}, 400_000);

afterAll(async () => {
  await farm?.purge();
  await image?.stop();
}, 60_000);

test('a cloud image with systemd and cloud-init is built from an unpinned URL', { timeout: 300_000 }, async () => {
  const files = readModuleFiles([packagePath('test', 'e2e', 'modules', 'debian.yaml')]);
  const submission = { files, variables: { IMAGE_URL: image.url } };
  const { buildId } = await farm.client.submit(submission);
  const events: StoredEvent[] = [];
  for await (const event of farm.client.events(buildId)) events.push(event);
  const lines = events.flatMap((event) => (event.event === 'log' ? [event.line] : []));
  expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
  expect(lines).toContain('from cloud-init');
  expect(lines).toContain('status: done');
  expect(lines).toContain('root');
  // The ETag of the server is the identity of an unpinned source, so the second build has nothing to do.
  expect((await farm.client.plan(submission)).modules[0]?.action).toBe('reuse');
});
