import { setTimeout as pause } from 'node:timers/promises';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startLoneScheduler } from '../harness/lone-scheduler.ts';
import { largestModules, WORST_DOCUMENTS } from '../harness/worst-documents.ts';
import type { Measurement } from './measurement.ts';

/** The worst texts against a scheduler in a process of its own, and what others notice of it. */
export async function benchDocuments(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const { url, token } = await startLoneScheduler(resources);
  const headers = { authorization: `Bearer ${token}` };
  const plan = async (body: string): Promise<number> => {
    const start = performance.now();
    await (await fetch(`${url}/api/v1/plan`, { method: 'POST', body, headers })).text();
    return performance.now() - start;
  };
  const lagMs = async () => {
    const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
    const read = (name: string) =>
      1000 * Number(new RegExp(`^slipway_nodejs_eventloop_lag_${name}_seconds\\S* (\\S+)`, 'm').exec(metrics)?.[1]);
    return { p99: read('p99'), max: read('max') };
  };
  const refused: Measurement[] = [];
  for (const [what, text] of Object.entries(WORST_DOCUMENTS)) {
    refused.push({ what: `16 MiB of ${what}, refused`, value: await plan(text()), unit: 'ms', target: '<= 2000 ms' });
  }
  const largest = largestModules();
  // What has been measured so far is forgotten with it.
  await lagMs();
  const over = new AbortController();
  const probing = slowestProbe(url, over.signal);
  const [slowest] = (await Promise.all([largest, largest, largest, largest].map(plan))).toSorted((a, b) => b - a);
  over.abort();
  const probeMs = await probing;
  const { p99, max } = await lagMs();
  return [
    ...refused,
    { what: 'four requests at the limits, the last answer', value: slowest ?? 0, unit: 'ms', target: '' },
    { what: 'event loop of the scheduler meanwhile, p99', value: p99, unit: 'ms', target: '' },
    { what: 'event loop of the scheduler meanwhile, max', value: max, unit: 'ms', target: '<= 50 ms' },
    { what: '/healthz meanwhile, max', value: probeMs, unit: 'ms', target: '<= 100 ms' },
  ];
}

async function slowestProbe(url: string, signal: AbortSignal): Promise<number> {
  let slowest = 0;
  while (!signal.aborted) {
    const start = performance.now();
    await (await fetch(`${url}/healthz`)).text();
    slowest = Math.max(slowest, performance.now() - start);
    await pause(5);
  }
  return slowest;
}
