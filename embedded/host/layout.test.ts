import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { machineSockets } from '../qemu/command-line.ts';
import { tpmFiles } from '../qemu/tpm.ts';
import { layoutOf, runDirOf } from './layout.ts';

const uid = '8669cc64-abce-42e1-82c8-2fd35e20bd35';

test('a data directory whose path is as long as it may be has room for every socket, a longer one is refused', async () => {
  const root = mkdtempSync(join(tmpdir(), 'slipway-layout-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const longest = join(root, 'x'.repeat(69 - root.length - 1));
  const layout = layoutOf(longest);
  const machine = runDirOf(layout, 'machines', uid);
  mkdirSync(machine, { recursive: true });
  const { qmp, vnc, serial } = machineSockets(machine);
  for (const path of [qmp, vnc, serial, tpmFiles(machine).socket]) {
    const server = createServer().listen(path);
    await once(server, 'listening');
    expect(server.address()).toBe(path);
    server.close();
  }
  expect(() => layoutOf(`${longest}x`)).toThrow('longer than 69 bytes');
});

test('two machines have two directories', () => {
  const layout = layoutOf('/var/lib/cluster');
  expect(runDirOf(layout, 'machines', uid)).not.toBe(runDirOf(layout, 'machines', uid.replace('8', '9')));
});
