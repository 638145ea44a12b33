import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { SERIAL_KEPT_BYTES, type SerialPiece } from '../../common/contracts/serial.ts';
import { BY_HAND, type LiveApi, startApi } from './live-api.ts';

let api: LiveApi;
let buildId: string;
let layerBuild: string;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(async () => {
  await api.reset();
  buildId = (await api.client.submit({ files: [{ path: 'desk.yaml', text: BY_HAND }], variables: {} })).buildId;
  layerBuild = (await api.client.build(buildId)).modules[0]?.layerBuild ?? '';
});

afterAll(() => api.close());

async function provisioning(): Promise<PhaseClaim> {
  const claim = await api.work({ until: 'provision' });
  if (!claim) throw new Error('The build has a provision phase.');
  return claim;
}

async function kept(): Promise<SerialPiece[]> {
  const pieces: SerialPiece[] = [];
  for await (const piece of api.client.machines.serial(buildId, { vm: 'vm', layerBuild, follow: false }))
    pieces.push(piece);
  return pieces;
}

test('a viewer follows the serial output of a machine from before it exists until its layer build has ended', async () => {
  const viewer = api.as(await api.tokenOf('viewer'));
  const heard: string[] = [];
  const followed = (async () => {
    for await (const { lines } of viewer.machines.serial(buildId, { vm: 'vm', layerBuild, follow: true }))
      heard.push(...lines);
  })();
  const claim = await provisioning();
  await api.store.keepSerial(claim, { vmiUid: 'u1', lines: ['SeaBIOS', 'Linux'], readBytes: 15 });
  await expect.poll(() => heard).toEqual(['SeaBIOS', 'Linux']);
  // A cut stream continues where it was.
  api.cut();
  await api.store.keepSerial(claim, { vmiUid: 'u1', lines: ['ready'], readBytes: 21 });
  await expect.poll(() => heard).toEqual(['SeaBIOS', 'Linux', 'ready']);
  await api.client.cancel(buildId);
  await api.store.commit(claim, { outcome: 'cancelled' });
  await followed;
  expect(heard).toEqual(['SeaBIOS', 'Linux', 'ready']);
  // The machine is gone, its output is not.
  expect((await kept()).flatMap(({ lines }) => lines)).toEqual(heard);
  expect((await kept()).at(-1)).toMatchObject({ lines: [], ended: true });
});

test('the stream of a machine without output ends too', async () => {
  await api.client.cancel(buildId);
  const pieces: SerialPiece[] = [];
  for await (const piece of api.client.machines.serial(buildId, { vm: 'vm', layerBuild, follow: true }))
    pieces.push(piece);
  expect(pieces).toMatchObject([{ lines: [], ended: true }]);
});

test('the last 256 KiB are kept', async () => {
  const claim = await provisioning();
  const line = 'x'.repeat(1_000);
  const lines = Array.from({ length: 50 }, () => line);
  for (let round = 1; round <= 8; round += 1) {
    await api.store.keepSerial(claim, { vmiUid: 'u1', lines: [`round ${round}`, ...lines], readBytes: round * 50_000 });
  }
  const output = (await kept()).flatMap((piece) => piece.lines);
  expect(output.filter((text) => text.startsWith('round'))).toEqual([
    'round 4',
    'round 5',
    'round 6',
    'round 7',
    'round 8',
  ]);
  expect(JSON.stringify(output).length).toBeLessThan(SERIAL_KEPT_BYTES);
});

test('the next worker continues where the last one was, and that one adds nothing more', async () => {
  const claim = await provisioning();
  await api.store.keepSerial(claim, { vmiUid: 'u1', lines: ['one'], readBytes: 4 });
  const next = await api.store.claim(claim.job, 'w2');
  if (!next) throw new Error('The job is still current.');
  expect(await api.store.serialPosition(next, 'u1')).toBe(4);
  // Another machine has another log.
  expect(await api.store.serialPosition(next, 'u2')).toBe(0);
  const late = api.store.keepSerial(claim, { vmiUid: 'u1', lines: ['two'], readBytes: 8 });
  await expect(late).rejects.toMatchObject({ code: 'Superseded' });
  expect((await kept()).flatMap(({ lines }) => lines)).toEqual(['one']);
});

test('what a phase waits for is in the view until it is there, or the phase is another one', async () => {
  const claim = await provisioning();
  const about = {
    event: 'phase-waiting',
    module: 'desk',
    vm: 'vm',
    phase: 'provision',
    what: 'SSH 10.0.2.2:22',
  } as const;
  const seen = async () => (await api.client.build(buildId)).modules[0]?.vms[0]?.phases[2]?.waiting;
  const wait = { ...about, tries: 34, elapsedMs: 12_000, leftMs: 288_000 };
  expect(await seen()).toBeNull();
  await api.store.emit(claim, { ...wait, error: 'no route to host' });
  const waiting = await seen();
  expect(waiting).toMatchObject({ what: 'SSH 10.0.2.2:22', error: 'no route to host', tries: 34 });
  expect((waiting?.deadline ?? 0) - (waiting?.since ?? 0)).toBe(300_000);
  await api.store.emit(claim, { ...wait, error: null });
  expect(await seen()).toBeNull();
});
