import { setTimeout as after } from 'node:timers/promises';
import { PHASES } from '../../common/contracts/phases.ts';
import { findProcesses, sendSignal } from '../../embedded/host/processes.ts';
import type { TestFarm } from '../harness/farm.ts';
import type { ChaosBuilds } from './builds.ts';
import type { SecondHalf } from './second-half.ts';

/** How long what was stopped or slowed stays so, at most, ms. */
const TROUBLE_MS = 8_000;
const SLOW_MS = 200;

/** What faults are done to. */
export interface Shaken {
  readonly farm: TestFarm;
  /** Flags of its `slipway up`. */
  readonly flags: readonly string[];
  readonly second: SecondHalf;
  readonly builds: ChaosBuilds;
  /** Aborted when the run is asked to end: what is stopped continues at once. */
  readonly signal: AbortSignal;
}

/** Does one thing to a farm that must not matter to it; returns to what, or null where there was nothing. */
type Fault = (random: () => number) => Promise<string | null>;

/** What may be done to a farm, by name. */
export function faultsOf(shaken: Shaken): ReadonlyMap<string, Fault> {
  const { farm, second, builds, signal } = shaken;
  const pidsOf = (roles: readonly string[]) => {
    const [first, other] = [farm.current().pids, second.pids()];
    return roles.flatMap((role) => [...(first[role] ?? []), ...(other[role] ?? [])]);
  };
  const kill =
    (...roles: string[]): Fault =>
    async (random) => {
      const pid = pick(pidsOf(roles), random);
      return pid !== undefined && sendSignal(pid, 'SIGKILL') ? `process ${pid}` : null;
    };
  const stop =
    (...roles: string[]): Fault =>
    async (random) => {
      const [pid, ms] = [pick(pidsOf(roles), random), 500 + random() * TROUBLE_MS];
      if (pid === undefined || !sendSignal(pid, 'SIGSTOP')) return null;
      await pause(ms, signal);
      sendSignal(pid, 'SIGCONT');
      return `process ${pid} for ${Math.round(ms)} ms`;
    };
  const slow =
    (way: SecondHalf['toRedis']): Fault =>
    async (random) => {
      const ms = 500 + random() * TROUBLE_MS;
      way.slow(random() * SLOW_MS);
      await pause(ms, signal);
      way.slow(0);
      return `for ${Math.round(ms)} ms`;
    };
  const reset =
    (way: SecondHalf['toRedis']): Fault =>
    async () => {
      way.reset();
      return 'all connections';
    };
  const killHelper =
    (program: string): Fault =>
    async (random) => {
      const all = await findProcesses(farm.dataDir);
      const one = pick(
        all.filter(({ argv }) => argv.some((argument) => argument.endsWith(program))),
        random,
      );
      return one && sendSignal(one.pid, 'SIGKILL') ? `process ${one.pid}` : null;
    };
  return new Map<string, Fault>([
    ['kill a worker', kill(...PHASES)],
    ['stop a worker', stop(...PHASES)],
    ['kill a provision worker', kill('provision')],
    ['stop a provision worker', stop('provision')],
    ['kill a scheduler', kill('scheduler')],
    ['stop a scheduler', stop('scheduler')],
    ['kill Redis', kill('redis')],
    ['stop Redis', stop('redis')],
    ['kill the cluster server', kill('embedded')],
    ['stop the cluster server', stop('embedded')],
    ['kill a machine', (random) => killMachine(shaken, random)],
    ['kill a relay', killHelper('pod-supervisor.js')],
    ['kill a DHCP server', killHelper('dnsmasq')],
    ['reset the way to Redis', reset(second.toRedis)],
    ['slow the way to Redis', slow(second.toRedis)],
    ['reset the way to the cluster', reset(second.toCluster)],
    ['slow the way to the cluster', slow(second.toCluster)],
    ['kill `up` and start it', () => startAgain(shaken, true)],
    ['`down` and `up`', () => startAgain(shaken, false)],
    ['change the configuration', () => changeConfig(shaken)],
    ['cancel a build', (random) => builds.cancelOne(random)],
    ['rebuild a module', (random) => builds.rebuildOne(random)],
  ]);
}

/** A machine of a layer build once only: a module may crash twice, and no more. */
async function killMachine({ farm, builds }: Shaken, random: () => number): Promise<string | null> {
  const machines = await machinesOf(farm);
  const machine = pick(
    machines.filter(({ name }) => !builds.crashed.has(layerBuildOf(name))),
    random,
  );
  if (!machine) return null;
  builds.crashed.add(layerBuildOf(machine.name));
  return sendSignal(machine.pid, 'SIGKILL') ? machine.name : null;
}

/** Ends the first half of the farm with its machines, in order or by the death of `up`, and starts it as a user would. */
async function startAgain({ farm, flags, builds }: Shaken, isKilled: boolean): Promise<string> {
  const [up] = farm.current().pids['up'] ?? [];
  if (isKilled && up !== undefined) sendSignal(up, 'SIGKILL');
  else {
    builds.machinesEnded();
    const down = await farm.slipway('down', '--data-dir', farm.dataDir);
    if (down.exitCode !== 0) throw new Error(`slipway down failed: ${down.stderr}`);
  }
  const { exitCode, stderr } = await farm.slipway('up', '--data-dir', farm.dataDir, '--detach', ...flags);
  if (exitCode !== 0) throw new Error(`slipway up failed: ${stderr}`);
  return isKilled ? `process ${up}` : 'the first half';
}

async function changeConfig({ second }: Shaken): Promise<string> {
  second.changeConfig();
  return 'of the second half';
}

/** The machines of a farm that have a process, by the names of their VMIs. */
export async function machinesOf({ dataDir }: TestFarm): Promise<{ readonly name: string; readonly pid: number }[]> {
  const processes = await findProcesses(dataDir);
  return processes.flatMap(({ pid, argv }) => {
    const name = argv.find((argument) => argument.startsWith('guest='));
    return argv[0]?.includes('qemu-system') && name ? [{ pid, name: name.slice('guest='.length) }] : [];
  });
}

/** The layer build that a machine belongs to, in small letters, as it is in the machine's name. */
function layerBuildOf(machine: string): string {
  return /sw-([0-9a-z]{26})-g/.exec(machine)?.[1] ?? machine;
}

function pick<T>(from: readonly T[], random: () => number): T | undefined {
  return from[Math.floor(random() * from.length)];
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return after(ms, undefined, { signal }).catch(() => {});
}
