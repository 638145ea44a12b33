import { stringify } from 'yaml';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { METRICS, PROCESS_METRICS } from '../../common/metrics/metric-table.ts';
import { startFarm } from '../harness/farm.ts';
import type { Measurement } from './measurement.ts';

const JOBS = 100_000;
const MODULES_PER_BUILD = 1_000;
const MIB = 1024 ** 2;

/** What a farm without workers holds while 100,000 phase jobs wait: Redis, and the process of the scheduler. */
export async function benchMemory(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const farm = await startFarm({ flags: PHASES.flatMap((phase) => ['--workers', `${phase}=0`]) });
  resources.defer('farm', () => farm.purge());
  const client = new FarmClient(farm.connection);
  const builds = JOBS / PHASES.length / MODULES_PER_BUILD;
  for (let build = 0; build < builds; build += 1) await client.submit({ files: [manyModules(build)], variables: {} });
  const metrics = await readMetrics(farm.connection);
  return [
    {
      what: `Redis with ${JOBS} waiting phase jobs`,
      value: sample(metrics, METRICS.redisMemoryUsed.name) / MIB,
      unit: 'MiB',
      target: '<= 250 MiB',
    },
    {
      what: 'scheduler that accepted them',
      value: sample(metrics, PROCESS_METRICS.memory) / MIB,
      unit: 'MiB',
      target: '<= 300 MiB',
    },
  ];
}

function manyModules(build: number) {
  const documents = Array.from({ length: MODULES_PER_BUILD }, (_, index) => {
    const name = `m${build}-${index}`;
    const shell = { inline: `echo ${name} > /etc/motd` };
    const vm = { name: 'vm', source: { blank: true }, provisioners: [{ type: 'shell', shell }] };
    return stringify({ name, vms: [vm] });
  });
  return { path: `many-${build}.yaml`, text: documents.join('---\n') };
}

async function readMetrics({ url, token }: { readonly url: string; readonly token: string }): Promise<string> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
  return response.text();
}

function sample(metrics: string, name: string): number {
  const value = new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(metrics)?.[1];
  assert(value !== undefined, `The scheduler reports ${name}.`);
  return Number(value);
}
