import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type LoneScheduler, startLoneScheduler } from '../harness/lone-scheduler.ts';
import { largestModules, WORST_DOCUMENTS } from '../harness/worst-documents.ts';

/*
 * The attacker may build, and sends documents that take long to read. The prize is the scheduler's attention: probes that fail,
 * leases that are lost, a farm that makes no progress.
 */
const CPU_S = 2;
/** Of the time that the slowest request takes. */
const SHARE = 0.2;
/** Several of what waits are answered one after the other. */
const PATIENCE_MS = 120_000;

const resources = new ReleaseStack();
let scheduler: LoneScheduler;

beforeAll(async () => {
  scheduler = await startLoneScheduler(resources);
});

afterAll(() => resources.close());

const authorized = () => ({ headers: { authorization: `Bearer ${scheduler.token}` } });

async function plan(body: string): Promise<{ status: number; code: string | undefined; ms: number }> {
  const start = performance.now();
  const response = await fetch(`${scheduler.url}/api/v1/plan`, { ...authorized(), method: 'POST', body });
  const { code } = (await response.json()) as { code?: string };
  return { status: response.status, code, ms: performance.now() - start };
}

/** CPU seconds of all its threads so far: however busy the machine is, a request costs as many. */
async function cpuSeconds(): Promise<number> {
  const metrics = await (await fetch(`${scheduler.url}/metrics`, authorized())).text();
  return Number(/^slipway_process_cpu_seconds_total\S* (\S+)/m.exec(metrics)?.[1]);
}

/** How long each probe waited that was sent until `signal`, in ms. */
async function probe(signal: AbortSignal): Promise<number[]> {
  const waits: number[] = [];
  while (!signal.aborted) {
    const start = performance.now();
    expect((await fetch(`${scheduler.url}/healthz`)).status).toBe(200);
    waits.push(performance.now() - start);
    await pause(5);
  }
  return waits;
}

test.for(Object.entries(WORST_DOCUMENTS))(
  '16 MiB of %s are refused and cost little',
  async ([_what, text], { annotate }) => {
    const before = await cpuSeconds();
    const { status, code } = await plan(text());
    expect({ status, code }).toEqual({ status: 422, code: 'InvalidModule' });
    const cost = (await cpuSeconds()) - before;
    expect(cost).toBeLessThan(CPU_S);
    await annotate(`${status} after ${cost.toFixed(2)} CPU seconds`);
  },
);

test(
  'while four of the largest requests are read and planned, probes are answered as if nothing was',
  async () => {
    const largest = largestModules();
    const over = new AbortController();
    const probing = probe(over.signal);
    const bombs = [largest, WORST_DOCUMENTS['unknown keys'](), largest, WORST_DOCUMENTS['aliases of aliases']()];
    const answers = await Promise.all(bombs.map((bomb) => plan(bomb)));
    over.abort();
    expect(answers.map(({ status }) => status)).toEqual([200, 422, 200, 422]);
    const slowest = Math.max(...answers.map(({ ms }) => ms));
    expect(Math.max(...(await probing))).toBeLessThan(slowest * SHARE);
  },
  PATIENCE_MS,
);
