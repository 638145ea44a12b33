import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { chatter, percentile } from '../harness/chatter.ts';
import { startLoneScheduler } from '../harness/lone-scheduler.ts';
import type { Measurement } from './measurement.ts';

const GUESTS = 20;
const FOR_MS = 10_000;

/** What others notice while guests print as fast as they can; the output is generated, in one process. */
export async function benchChatter(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const scheduler = await startLoneScheduler(resources);
  const { bytes, pingMs, apiMs, keptBytes } = await chatter(scheduler, { guests: GUESTS, forMs: FOR_MS }, resources);
  return [
    {
      what: `output of ${GUESTS} guests that print without end`,
      value: (1000 * bytes) / FOR_MS / 1024 ** 2,
      unit: 'MiB/s',
      target: '',
    },
    { what: 'kept of it', value: keptBytes / 1024 ** 2, unit: 'MiB', target: '<= 256 MiB' },
    { what: 'PING meanwhile, p99', value: percentile(pingMs, 99), unit: 'ms', target: '< 10 ms' },
    { what: 'list of builds by the API meanwhile, p99', value: percentile(apiMs, 99), unit: 'ms', target: '< 250 ms' },
  ];
}
