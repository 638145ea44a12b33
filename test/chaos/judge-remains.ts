import { setTimeout as after } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findProcesses } from '../../embedded/host/processes.ts';
import type { TestFarm } from '../harness/farm.ts';
import { remainingObjects } from '../harness/kubectl.ts';
import { movingKeys } from '../harness/moving-keys.ts';

const KINDS = [
  ...['virtualmachines', 'virtualmachineinstances', 'datavolumes', 'pods', 'secrets'],
  ...['vpcs', 'subnets', 'network-attachment-definitions'],
];
/** BullMQ's keys of jobs that wait or run. */
const JOBS = /--local:(active|wait|prioritized|delayed|paused|stalled|[^:]+:lock)$/;
const MACHINERY = /qemu-system|dnsmasq|pod-supervisor/;
const SETTLED_MS = 90_000;

/** What is left of builds that have all ended: in Redis, on the cluster, among the processes of the machine. */
export async function judgeRemains({ connection, dataDir }: TestFarm): Promise<string[]> {
  const redis = new Redis(connection.redisUrl);
  try {
    const keys = await whileSome(async () => [
      ...(await movingKeys(redis)),
      ...(await redis.keys('*')).filter((key) => JOBS.test(key)),
    ]);
    const objects: string[] = [];
    for (const kind of KINDS)
      objects.push(...(await remainingObjects(connection.kubeconfig, kind, 'slipway.dev/role=build')));
    const processes = await whileSome(async () =>
      (await findProcesses(dataDir)).map(({ argv }) => argv.join(' ')).filter((command) => MACHINERY.test(command)),
    );
    return [
      ...keys.map((key) => `Redis still has ${key}.`),
      ...objects.map((object) => `The cluster still has ${object}.`),
      ...processes.map((command) => `This process still runs: ${command}`),
    ];
  } finally {
    redis.disconnect();
  }
}

/** What is found again and again for a while, as long as there is something. */
async function whileSome(look: () => Promise<string[]>): Promise<string[]> {
  const until = performance.now() + SETTLED_MS;
  let found = await look();
  for (; found.length > 0 && performance.now() < until; found = await look()) await after(500);
  return found;
}
