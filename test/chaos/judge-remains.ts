import { setTimeout as after } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findProcesses } from '../../embedded/host/processes.ts';
import type { TestFarm } from '../harness/farm.ts';
import { objectsWith } from '../harness/kubectl.ts';
import { movingKeys } from '../harness/moving-keys.ts';

const KINDS = [
  ...['virtualmachines', 'virtualmachineinstances', 'datavolumes', 'pods', 'secrets'],
  ...['vpcs', 'subnets', 'network-attachment-definitions'],
];
/** BullMQ's keys of jobs that wait or run. */
const JOBS = /--local:(active|wait|prioritized|delayed|paused|stalled|[^:]+:lock)$/;
const MACHINERY = /qemu-system|dnsmasq|pod-supervisor/;
/** For what is just being removed to go: farms retry removals with pauses. */
const SETTLED_MS = 90_000;

/** What is left of builds that have all ended: in Redis, on the cluster, among the processes of the machine. */
export async function judgeRemains({ connection, dataDir }: TestFarm): Promise<string[]> {
  const redis = new Redis(connection.redisUrl);
  const objectsOf = async (kind: string) => {
    const selector = 'slipway.dev/role=build';
    return (await objectsWith(connection.kubeconfig, kind, selector)).map((name) => `The cluster still has ${name}.`);
  };
  const looks = [
    async () => {
      const keys = [...(await movingKeys(redis)), ...(await redis.keys('*')).filter((key) => JOBS.test(key))];
      return keys.map((key) => `Redis still has ${key}.`);
    },
    ...KINDS.map((kind) => () => objectsOf(kind)),
    async () => {
      const commands = (await findProcesses(dataDir)).map(({ argv }) => argv.join(' '));
      return commands
        .filter((command) => MACHINERY.test(command))
        .map((command) => `This process still runs: ${command}`);
    },
  ];
  try {
    const until = performance.now() + SETTLED_MS;
    return (await Promise.all(looks.map((look) => whileSome(look, until)))).flat();
  } finally {
    redis.disconnect();
  }
}

/** What is found again and again until a deadline, as long as there is something. */
async function whileSome(look: () => Promise<string[]>, until: number): Promise<string[]> {
  let found = await look();
  for (; found.length > 0 && performance.now() < until; found = await look()) await after(1_000);
  return found;
}
