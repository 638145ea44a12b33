import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { BATCH, runBatch } from './run-target.ts';
import { openTargets } from './targets.ts';

/*
 * Shows the farm's readers what strangers may send, and reports what they did not bear: `--seconds N` or `--inputs N`, `--seed S`,
 * `--only validate,images`. Batch after batch, a seed each; the line of a finding names the one that makes it again.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    inputs: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
  },
});
/** A batch takes a second or so; one that takes this long will not end. */
const HANGS_MS = 180_000;
const firstSeed = Number(values.seed ?? Date.now() % 2 ** 31);
const most = {
  ms: Number(values.seconds ?? (values.inputs ? Number.POSITIVE_INFINITY : 30)) * 1000,
  inputs: Number(values.inputs ?? Number.POSITIVE_INFINITY),
};

if (process.send) await fuzz(process.send.bind(process));
else await watch();

interface Tally {
  taken: number;
  refused: number;
  found: number;
  slowestMs: number;
}

async function fuzz(report: (batch: string) => unknown): Promise<void> {
  const targets = openTargets();
  const requested = values.only?.split(',') ?? [...targets.keys()];
  const tallies = new Map<string, Tally>(
    requested.map((name) => [name, { taken: 0, refused: 0, found: 0, slowestMs: 0 }]),
  );
  const start = performance.now();
  let inputs = 0;
  for (let seed = firstSeed; performance.now() - start < most.ms && inputs < most.inputs; seed += 1) {
    for (const [name, tally] of tallies) {
      const target = targets.get(name);
      if (!target) throw new Error(`There is no target "${name}": there are ${[...targets.keys()].join(', ')}.`);
      const replay = `npm run fuzz -- --only ${name} --seed ${seed} --inputs ${BATCH}`;
      report(replay);
      const { counts, slowestMs, found } = await runBatch(target, seed);
      tally.taken += counts.taken;
      tally.refused += counts.refused;
      tally.slowestMs = Math.max(tally.slowestMs, slowestMs);
      inputs += BATCH;
      if (!found) continue;
      tally.found += 1;
      process.exitCode = 1;
      console.error(`\n${name}: ${found.message}\n  ${fc.stringify(found.input).slice(0, 4_000)}\n  again: ${replay}`);
    }
  }
  for (const [name, { taken, refused, found, slowestMs }] of tallies) {
    const counts = `${taken + refused} inputs, ${taken} taken, ${refused} refused, ${found} batches with a fault`;
    console.log(`${name.padEnd(14)} ${counts}, the slowest ${Math.round(slowestMs)} ms`);
  }
  console.log(`seed ${firstSeed}, ${inputs} inputs in ${Math.round((performance.now() - start) / 1000)} s`);
  process.disconnect();
}

/** An input that hangs cannot report itself. */
async function watch(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--seed', `${firstSeed}`]);
  let batch = '';
  const hangs = () => {
    console.error(`\nIt hangs.\n  again: ${batch}`);
    child.kill('SIGKILL');
  };
  let timer = setTimeout(hangs, HANGS_MS);
  child.on('message', (message) => {
    batch = String(message);
    clearTimeout(timer);
    timer = setTimeout(hangs, HANGS_MS);
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  process.exitCode = code ?? 1;
}
