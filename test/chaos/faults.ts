import { setTimeout as after } from 'node:timers/promises';
import { PHASES } from '../../common/contracts/phases.ts';
import { findProcesses, sendSignal } from '../../embedded/host/processes.ts';
import type { TestFarm } from '../harness/farm.ts';
import type { SecondHalf } from './second-half.ts';

/** How long what was stopped or slowed stays so, at most, ms. */
const TROUBLE_MS = 8_000;
const SLOW_MS = 200;

/** Does one thing to a farm that must not matter to it; returns to what, or null where there was nothing. */
type Fault = () => Promise<string | null>;

/** What may be done to a farm, by name. `random` decides to which process and for how long. */
export function faultsOf(
  { farm, second, random }: { readonly farm: TestFarm; readonly second: SecondHalf; readonly random: () => number },
  /** Machines that were killed, by name without generation: once each, because a module may crash twice only. */
  killed: Set<string>,
): ReadonlyMap<string, Fault> {
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const pidsOf = (roles: readonly string[]) => {
    const [first, other] = [farm.current().pids, second.pids()];
    return roles.flatMap((role) => [...(first[role] ?? []), ...(other[role] ?? [])]);
  };
  const kill = (roles: readonly string[]) => async () => {
    const pid = pick(pidsOf(roles));
    return pid !== undefined && sendSignal(pid, 'SIGKILL') ? `process ${pid}` : null;
  };
  const stop = (roles: readonly string[]) => async () => {
    const [pid, ms] = [pick(pidsOf(roles)), 500 + random() * TROUBLE_MS];
    if (pid === undefined || !sendSignal(pid, 'SIGSTOP')) return null;
    await after(ms);
    sendSignal(pid, 'SIGCONT');
    return `process ${pid} for ${Math.round(ms)} ms`;
  };
  const slow = (way: SecondHalf['toRedis']) => async () => {
    const ms = 500 + random() * TROUBLE_MS;
    way.slow(random() * SLOW_MS);
    await after(ms);
    way.slow(0);
    return `for ${Math.round(ms)} ms`;
  };
  const reset = (way: SecondHalf['toRedis']) => async () => {
    way.reset();
    return 'all connections';
  };
  return new Map<string, Fault>([
    ['kill a worker', kill(PHASES)],
    ['stop a worker', stop(PHASES)],
    ['kill a scheduler', kill(['scheduler'])],
    ['stop a scheduler', stop(['scheduler'])],
    ['kill Redis', kill(['redis'])],
    ['stop Redis', stop(['redis'])],
    ['kill the cluster server', kill(['embedded'])],
    ['stop the cluster server', stop(['embedded'])],
    [
      'kill a machine',
      async () => {
        const machines = await machinesOf(farm);
        const machine = pick(machines.filter(({ name }) => !killed.has(layerBuildOf(name))));
        if (!machine) return null;
        killed.add(layerBuildOf(machine.name));
        return sendSignal(machine.pid, 'SIGKILL') ? machine.name : null;
      },
    ],
    [
      'kill a relay',
      async () => {
        const pods = await findProcesses(farm.dataDir);
        const relay = pick(pods.filter(({ argv }) => argv.some((argument) => argument.endsWith('pod-supervisor.js'))));
        return relay && sendSignal(relay.pid, 'SIGKILL') ? `pod of process ${relay.pid}` : null;
      },
    ],
    ['reset the way to Redis', reset(second.toRedis)],
    ['slow the way to Redis', slow(second.toRedis)],
    ['reset the way to the cluster', reset(second.toCluster)],
    ['slow the way to the cluster', slow(second.toCluster)],
  ]);
}

/** The machines of a farm that have a process, by the names of their VMIs. */
export async function machinesOf({ dataDir }: TestFarm): Promise<{ readonly name: string; readonly pid: number }[]> {
  const processes = await findProcesses(dataDir);
  return processes.flatMap(({ pid, argv }) => {
    const name = argv.find((argument) => argument.startsWith('guest='));
    return argv[0]?.includes('qemu-system') && name ? [{ pid, name: name.slice('guest='.length) }] : [];
  });
}

/** The layer build that a machine belongs to, in small letters, as it stands in the machine's name. */
export function layerBuildOf(machine: string): string {
  return /sw-([0-9a-z]{26})-g/.exec(machine)?.[1] ?? machine;
}
