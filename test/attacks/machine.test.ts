import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { layoutOf, runDirOf } from '../../embedded/host/layout.ts';
import { findProcesses } from '../../embedded/host/processes.ts';
import { machineSockets } from '../../embedded/qemu/command-line.ts';
import { Laboratory } from '../conformance/machines/laboratory.ts';

/*
 * The attacker's guest has taken its QEMU over, and answers in its stead: as its user may, it has put a socket of its own where
 * that of QEMU was. The prize is the cluster: a server that crashes at an answer, or never gets ready again.
 */
const LIES: Readonly<Record<string, (socket: Socket) => void>> = {
  silence: () => {},
  noise: (socket) => socket.write(randomBytes(65_536)),
  'a line without end': (socket) => {
    const more = () => void (socket.destroyed || socket.write('x'.repeat(1024 ** 2), more));
    more();
  },
  'a hundred thousand brackets': (socket) => socket.write(`${'['.repeat(100_000)}\n`),
  'empty answers': (socket) => answer(socket, () => null),
  'answers that are lists': (socket) => answer(socket, () => [[]]),
  'errors without a word': (socket) => answer(socket, undefined),
};

let laboratory: Laboratory;
const liars: Server[] = [];
let attempts = 0;

beforeAll(async () => {
  laboratory = await Laboratory.open();
}, 120_000);

afterAll(async () => {
  for (const liar of liars) liar.close();
  await laboratory?.close();
}, 120_000);

function answer(socket: Socket, say: ((command: string) => unknown) | undefined): void {
  socket.write('{"QMP":{"version":{},"capabilities":[]}}\n');
  createInterface({ input: socket }).on('line', (line) => {
    const { id, execute } = JSON.parse(line) as { id: number; execute: string };
    const outcome = say ? { return: say(execute) } : { error: null };
    socket.write(`${JSON.stringify({ id, ...outcome })}\n`);
  });
}

/** A machine that boots nothing. */
const instance = (name: string) => ({
  metadata: { name },
  spec: { domain: { memory: { guest: '64Mi' }, devices: { autoattachPodInterface: false } } },
});

async function runDirOfMachine(name: string): Promise<string> {
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', name, 'Running');
  return runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'machines', metadata.uid);
}

async function lieAt(path: string, lie: (socket: Socket) => void): Promise<void> {
  rmSync(path);
  const liar = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    lie(socket);
  }).listen(path);
  liars.push(liar);
  await once(liar, 'listening');
}

test('a server that finds liars instead of QEMUs gets ready, and ends them', { timeout: 240_000 }, async ({
  annotate,
}) => {
  // Machines of a former attempt of this test are still there.
  attempts += 1;
  const honestName = `honest-${attempts}`;
  const names = Object.keys(LIES).map((_lie, index) => `liar-${attempts}-${index}`);
  for (const name of [honestName, ...names]) await laboratory.create('VirtualMachineInstance', instance(name));
  const honest = await runDirOfMachine(honestName);
  const directories = new Map<string, string>();
  for (const name of names) directories.set(name, await runDirOfMachine(name));
  await laboratory.cluster.kill('SIGKILL');
  const lies = Object.values(LIES);
  for (const [index, directory] of [...directories.values()].entries()) {
    await lieAt(machineSockets(directory).qmp, lies[index] ?? (() => {}));
  }
  await laboratory.cluster.restart();
  const phases = await Promise.all(
    names.map(async (name) => (await laboratory.untilPhase('VirtualMachineInstance', name, 'Failed')).status?.phase),
  );
  expect((await laboratory.get('VirtualMachineInstance', honestName))?.status?.phase).toBe('Running');
  expect(await findProcesses(honest)).not.toEqual([]);
  for (const name of names) {
    await laboratory.delete('VirtualMachineInstance', name);
    await laboratory.untilGone('VirtualMachineInstance', name);
    expect(await findProcesses(directories.get(name) ?? ''), name).toEqual([]);
  }
  await annotate(`${phases.length} machines of its own that failed; the others continue`);
});
