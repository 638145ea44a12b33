import { afterAll, beforeAll, expect, test } from 'vitest';
import { layoutOf, runDirOf } from '../../../embedded/host/layout.ts';
import { findProcesses, type HostProcess } from '../../../embedded/host/processes.ts';
import { startRefusal } from '../../../workers/phases/boot-keystrokes/start-machine.ts';
import { Laboratory, type Seen } from './laboratory.ts';
import { machine, networkObjects } from './manifests.ts';

let laboratory: Laboratory;

beforeAll(async () => {
  laboratory = await Laboratory.open();
  const { vpc, attachment, subnet } = networkObjects('lan', '10.91.0.0/24');
  await laboratory.create('Vpc', vpc);
  await laboratory.create('NetworkAttachmentDefinition', attachment);
  await laboratory.create('Subnet', subnet);
  await laboratory.create('Secret', { metadata: { name: 'seed' }, stringData: { userdata: '#cloud-config\n' } });
}, 60_000);

afterAll(() => laboratory?.close());

/** Starts a machine that waits before its first instruction; returns the processes that run for it now. */
async function start(name: string, host: number): Promise<() => Promise<HostProcess[]>> {
  const place = { network: 'lan', ip: `10.91.0.${host}`, mac: `02:00:00:91:00:${host}` };
  const vm = machine(name, { source: { blank: {} }, ...place });
  Object.assign(vm.spec.template.spec, { startStrategy: 'Paused' });
  Object.assign(vm.spec.template.spec.domain.devices, { tpm: {} });
  await laboratory.create('VirtualMachine', vm);
  await laboratory.act(`virtualmachines/${name}/start`);
  const { metadata } = await laboratory.until('VirtualMachineInstance', name, () => true);
  const runDir = runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'machines', metadata.uid);
  return () => findProcesses(runDir);
}

/** Kills the first process that has a program; waits for one. */
async function kill(processes: () => Promise<HostProcess[]>, program: string): Promise<void> {
  const find = async () => (await processes()).find(({ argv }) => argv[0] === program);
  let found = await find();
  while (!found) found = await find();
  process.kill(found.pid, 'SIGKILL');
}

test('a machine whose QEMU is killed while it starts is started again, and nothing refuses it', async () => {
  await kill(await start('early', 11), 'qemu-system-x86_64');
  const refusals: unknown[] = [];
  await laboratory.until('VirtualMachineInstance', 'early', ({ status }) => {
    refusals.push(startRefusal({ status } as never));
    return status?.phase === 'Running';
  });
  expect(refusals.filter((refusal) => refusal !== undefined)).toEqual([]);
});

test.each([
  ['QEMU', 'qemu-system-x86_64', 12],
  ['TPM', 'swtpm', 13],
])('a machine whose %s is killed when it runs has failed, and nothing of it is left', async (what, program, host) => {
  const name = what.toLowerCase();
  const processes = await start(name, host);
  const { metadata } = await laboratory.untilPhase('VirtualMachineInstance', name, 'Running');
  await kill(processes, program);
  const { status } = await laboratory.untilPhase('VirtualMachineInstance', name, 'Failed');
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  expect([metadata.name, ready?.message]).toEqual([name, expect.stringContaining(what)]);
  await expect.poll(processes).toEqual([]);
});

test('a machine whose TPM is killed while no server runs has failed for the next one', async () => {
  const processes = await start('alone', 14);
  const { metadata }: Seen = await laboratory.untilPhase('VirtualMachineInstance', 'alone', 'Running');
  await laboratory.cluster.kill('SIGKILL');
  await kill(processes, 'swtpm');
  await laboratory.cluster.restart();
  const { metadata: after } = await laboratory.untilPhase('VirtualMachineInstance', 'alone', 'Failed');
  expect(after.uid).toBe(metadata.uid);
});
