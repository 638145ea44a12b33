import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layoutOf } from '../host/layout.ts';
import { readQcow2Header, writeEmptyQcow2 } from './qcow2.ts';
import { VolumeFiles } from './volumes.ts';

const GIB = 1024 ** 3;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'volumes-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const qemuIo = (path: string, command: string) =>
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path]).toString();

test.each([0.5 * GIB, 64 * GIB, 6000 * GIB])(
  'QEMU finds nothing wrong with an empty image of %d bytes',
  async (size) => {
    const path = join(directory, 'empty.qcow2');
    await writeEmptyQcow2(path, { virtualSizeBytes: size });
    execFileSync('qemu-img', ['check', path]);
    const described = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path]).toString());
    expect(described).toMatchObject({ format: 'qcow2', 'virtual-size': size });
    expect(await readQcow2Header(path)).toEqual({
      virtualSizeBytes: size,
      backingFile: undefined,
      hasExternalData: false,
    });
  },
);

test('a clone sees what was frozen and neither sees what the other writes afterwards', async () => {
  const files = new VolumeFiles(layoutOf(directory));
  await files.createBlank('a', GIB);
  qemuIo(files.disk('a'), 'write -P 0x11 0 64k');
  await files.freeze('a', 'snap');
  await files.cloneLayer('b', 'snap', 2 * GIB);
  qemuIo(files.disk('a'), 'write -P 0x22 0 64k');
  qemuIo(files.disk('b'), 'write -P 0x33 64k 64k');
  expect(qemuIo(files.disk('a'), 'read -P 0x22 0 64k')).not.toContain('Pattern verification failed');
  expect(qemuIo(files.disk('b'), 'read -P 0x11 0 64k')).not.toContain('Pattern verification failed');
  expect(await files.virtualSize('b')).toBe(2 * GIB);
});

test('a layer lives as long as a disk is based on it', async () => {
  const files = new VolumeFiles(layoutOf(directory));
  await files.createBlank('a', GIB);
  await files.freeze('a', 'first');
  await files.freeze('a', 'second');
  await files.remove('a');
  await files.cloneLayer('b', 'second', GIB);
  expect(await files.collectLayers(() => new Set())).toEqual([]);
  await files.remove('b');
  expect(await files.collectLayers(() => new Set(['first']))).toEqual(['second.qcow2']);
  expect(await files.hasLayer('first')).toBe(true);
});

test('a freeze that was cut off after the machine was switched keeps what the guest wrote', async () => {
  const files = new VolumeFiles(layoutOf(directory));
  await files.createBlank('a', GIB);
  const cutOff = files.freeze('a', 'snap', () => async (overlay) => {
    qemuIo(overlay, 'write -P 0x44 0 64k');
    throw new Error('the process died here');
  });
  await expect(cutOff).rejects.toThrow('died here');
  await files.freeze('a', 'snap');
  expect(qemuIo(files.disk('a'), 'read -P 0x44 0 64k')).not.toContain('Pattern verification failed');
});
