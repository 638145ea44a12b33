import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BENCH_NAMES, type BenchName } from './bench-names.ts';
import type { Measurement } from './measurement.ts';
import { drawPlot } from './plot.ts';

/*
 * Measures the farm, all but `clone` without machines. Each bench runs in a process of its own, so its memory is its own, and one that fails
 * or exceeds `--minutes` does not cost the others. Each result is printed as it comes; the exit code is 1 when a bench has failed.
 * `--out FILE` writes them as JSON, `--plot FILE` as a picture (SVG); `--only size,logs` leaves the others out.
 */
const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    plot: { type: 'string' },
    only: { type: 'string' },
    minutes: { type: 'string', default: '10' },
  },
});
const requested = values.only?.split(',');
const unknown = requested?.filter((name) => !BENCH_NAMES.includes(name as BenchName)) ?? [];
if (unknown.length > 0)
  throw new Error(`No bench is named ${unknown.join(', ')}; there are ${BENCH_NAMES.join(', ')}.`);
const measurements: Measurement[] = [];
let running: ChildProcess | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, async () => {
    if (running) await end(running);
    process.exit(1);
  });
for (const name of BENCH_NAMES) {
  if (requested && !requested.includes(name)) continue;
  const failure = await runBench(name, Number(values.minutes));
  if (failure !== null) {
    console.error(`${name} failed: ${failure}`);
    process.exitCode = 1;
  }
  if (values.out) writeFileSync(values.out, `${JSON.stringify({ measurements }, null, 2)}\n`);
  if (values.plot) writeFileSync(values.plot, drawPlot(measurements));
}

/** Returns why it failed, or null. */
async function runBench(name: BenchName, minutes: number): Promise<string | null> {
  // A group of its own, which ends with it: Redis, workers, schedulers. Farms are purged by the bench itself.
  const child = fork(new URL('./bench-process.ts', import.meta.url), [name], {
    execArgv: process.execArgv,
    detached: true,
  });
  running = child;
  child.on('message', (measurement: Measurement) => {
    measurements.push(measurement);
    const { what, value, unit, target } = measurement;
    const measured = `${Number(value.toPrecision(3))} ${unit}`;
    console.log(`${what.padEnd(60)}  ${measured.padEnd(14)}  ${target}`.trimEnd());
  });
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    void end(child);
  }, minutes * 60_000);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  running = undefined;
  signalGroup(child, 'SIGKILL');
  if (isOver) return `it was not done after ${minutes} min (--minutes)`;
  return code === 0 ? null : `its process ended with ${String(code ?? signal)}`;
}

/** Lets a bench purge its farms, for a minute. */
async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), 60_000);
  await exit;
  clearTimeout(timer);
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // Nothing of it is left.
  }
}
