import { systemClock } from '../../common/clock/clock.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { GuestLog } from '../../workers/guest/guest-log.ts';
import { FarmState, newId } from '../harness/farm-state.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import type { Measurement } from './measurement.ts';

const JOINED = 50;
const LINES = 30_000;
const LINE = `${'x'.repeat(80)}\n`;
const PIECE = 64 * 1024;
/** Between pieces: 16,000 lines in a second. */
const PACE_MS = 50;

/** What a chatty step costs the farm when many builds wait for the layer, and what others notice of it. */
export async function benchLogs(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const farm = await FarmState.open(resources);
  await farm.advertise();
  for (let build = 0; build <= JOINED; build += 1) {
    await farm.submit([sampleModule({ name: 'base', layerKey: 'k', layerBuild: newId() })]);
  }
  const claim = await farm.claim((await farm.take())[0]);
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const other = await useRedis(resources, { url: farm.server.url, logger }, 'producer');
  const log = new GuestLog({
    emit: (line) =>
      farm.store.emit(claim, { event: 'log', module: 'base', vm: 'vm', phase: 'provision', source: 'step', line }),
    mask: (text) => text,
    clock: systemClock,
    signal: new AbortController().signal,
    offset: 0,
  });
  const write = async (paceMs: number) => {
    const over = new AbortController();
    const pings = pingUntil(() => other.ping(), over.signal);
    const start = performance.now();
    const bytes = Buffer.from(LINE.repeat(LINES));
    for (let at = 0; at < bytes.length; at += PIECE) {
      await log.push(bytes.subarray(at, at + PIECE));
      if (paceMs > 0) await systemClock.after(paceMs);
    }
    const rate = (1000 * LINES) / (performance.now() - start);
    over.abort();
    const times = (await pings).toSorted((a, b) => a - b);
    return { rate, pingMs: times[Math.floor(times.length * 0.99)] ?? 0 };
  };
  const fast = await write(0);
  const paced = await write(PACE_MS);
  await log.end();
  return [
    {
      what: `log lines of a step that ${JOINED} builds have joined`,
      value: fast.rate,
      unit: '/s',
      target: '>= 15000 /s',
    },
    { what: 'PING meanwhile, p99', value: fast.pingMs, unit: 'ms', target: '' },
    { what: 'log lines at a pace of', value: paced.rate, unit: '/s', target: '' },
    { what: 'PING meanwhile, p99', value: paced.pingMs, unit: 'ms', target: '< 10 ms' },
  ];
}

async function pingUntil(ping: () => Promise<unknown>, signal: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  while (!signal.aborted) {
    const start = performance.now();
    await ping();
    times.push(performance.now() - start);
    await systemClock.after(1);
  }
  return times;
}
