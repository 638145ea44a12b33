import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { Confiner, FIRST_USER } from '../host/confinement.ts';
import { findProcesses, type HostProcess, killLeftovers } from '../host/processes.ts';
import { shareDirectory } from '../host/shared-directory.ts';
import { adoptMachine, launchMachine } from './launch.ts';
import type { MachineSpec } from './machine-spec.ts';
import { startTpm } from './tpm.ts';

const logger = createLogger({ name: 'launch', level: 'silent' });
const user = FIRST_USER + 1;
const clock = systemClock;
const onChange = () => {};
let runDir: string;
let confiner: Confiner;

beforeAll(async () => {
  runDir = await mkdtemp(join(tmpdir(), 'slipway-launch-'));
  confiner = await Confiner.open(runDir, logger);
  await shareDirectory(runDir, confiner.userOf({ user }));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await killLeftovers(runDir, clock);
});

afterAll(() => rm(runDir, { recursive: true, force: true }));

/** Starts a machine without disks, which waits. */
function launch({ model, tpmSocket }: { model?: string; tpmSocket?: string } = {}) {
  const spec: MachineSpec = {
    ...{ name: 'farm_box', uuid: '6f1c2f0e-0000-4000-8000-000000000001', runDir, accelerator: 'tcg' },
    ...{ machineType: 'q35', memoryMiB: 64, firmware: { kind: 'bios' }, drives: [], nics: [], clockBase: 'utc' },
    ...{ hasGraphics: true, hasSerial: true, hasTablet: false, hasRng: true, hasPanicDevice: false },
    ...{ startPaused: true, endsOnReboot: false, ...(tpmSocket === undefined ? {} : { tpmSocket }) },
    cpu: { sockets: 1, cores: 1, threads: 1, features: [], ...(model === undefined ? {} : { model }) },
  };
  return launchMachine({ spec, confiner, user, clock, logger, onChange });
}

/** A process of the machine, as soon as there is one. */
async function untilThere(isIt: (argv: HostProcess['argv']) => boolean): Promise<number> {
  while (true) {
    const found = (await findProcesses(runDir)).find(({ argv }) => isIt(argv));
    if (found) return found.pid;
    await after(1);
  }
}

const isSwtpm = ([program]: HostProcess['argv']) => program === 'swtpm';

/** What runs instead of QEMU at the next start. */
function runInstead(script: string): void {
  vi.spyOn(confiner, 'command').mockReturnValueOnce(['sh', '-c', script, runDir]);
}

test.each([
  ['QEMU was killed, of which its wrapper makes a status', 'exit 137'],
  ['QEMU was asked to end', 'exit 0'],
  ['the wrapper was killed, and QEMU was not', `sh -c 'sleep 1000; exit' "$0" & kill -KILL $$`],
])('a start during which %s fails, but is no refusal, and leaves no process', async (_, script) => {
  runInstead(script);
  await expect(launch()).rejects.toThrow(
    /^The process of the machine ended while it started, with (SIGKILL|status \d+)$/,
  );
  expect(await findProcesses(runDir)).toEqual([]);
});

test('a start that failed tries no longer to connect: the next one needs the only connection', async () => {
  const until = join(runDir, 'until');
  await writeFile(until, '');
  runInstead(`touch "$0/qmp.sock"; while [ -e ${until} ]; do sleep 0.05; done; exit 1`);
  const attempts: AbortSignal[] = [];
  vi.spyOn(systemClock, 'after').mockImplementation((ms, signal) => {
    // Who waits for the end of a process has none, and waits only where that has not gone yet.
    if (!signal) return after(ms);
    attempts.push(signal);
    return new Promise(() => {});
  });
  const failed = launch().catch(() => 'failed');
  await expect.poll(() => attempts.length).toBe(1);
  await rm(until);
  expect(await failed).toBe('failed');
  expect(attempts.map(({ aborted }) => aborted)).toEqual([true]);
});

test('a machine that QEMU refuses is reported with its own words', async () => {
  await expect(launch({ model: 'no-such' })).rejects.toThrow(/^QEMU: .*no-such/s);
});

test('a machine whose TPM dies is lost, also while no server follows it, and not before', async () => {
  const first = await launch({ tpmSocket: await startTpm({ runDir, confiner, user, clock }) });
  expect(first.state).toBe('paused');
  first.detach();
  const second = await adoptMachine(runDir, { clock, logger, onChange });
  expect(second?.state).toBe('paused');
  const swtpm = await untilThere(isSwtpm);
  process.kill(swtpm, 'SIGKILL');
  await expect.poll(() => second?.state).toBe('tpm-lost');
  second?.detach();
  const third = await adoptMachine(runDir, { clock, logger, onChange });
  await expect.poll(() => third?.state).toBe('tpm-lost');
  await third?.end();
  expect(third?.state).toBe('gone');
  expect(await findProcesses(runDir)).toEqual([]);
});

test('a machine that is ended with its TPM is gone, not one without a TPM', async () => {
  const states: string[] = [];
  const machine = await launch({ tpmSocket: await startTpm({ runDir, confiner, user, clock }) });
  void machine.qmp.closed.then(() => states.push(machine.state));
  process.kill(await untilThere(([program]) => program === 'qemu-system-x86_64'), 'SIGKILL');
  await expect.poll(() => findProcesses(runDir)).toEqual([]);
  expect([...states, machine.state]).toEqual(['gone', 'gone']);
});

test('a start without its TPM fails with words that name it', async () => {
  const tpmSocket = await startTpm({ runDir, confiner, user, clock });
  process.kill(await untilThere(isSwtpm), 'SIGKILL');
  await expect(launch({ tpmSocket })).rejects.toThrow(/^QEMU: .*socket,id=tpm0/s);
});
