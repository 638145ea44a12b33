import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { benchChatter } from './chatter-bench.ts';
import { benchClone } from './clone-bench.ts';
import { benchCost } from './cost-bench.ts';
import { benchDocuments } from './documents-bench.ts';
import { benchExport } from './export-bench.ts';
import { benchFarm } from './farm-bench.ts';
import { benchLayers } from './layers-bench.ts';
import { benchLogs } from './logs-bench.ts';
import { benchMakespan } from './makespan-bench.ts';
import type { Measurement } from './measurement.ts';
import { benchMemory } from './memory-bench.ts';
import { benchPlan } from './plan-bench.ts';
import { drawPlot } from './plot.ts';
import { benchSize } from './size-bench.ts';
import { benchTakeover } from './takeover-bench.ts';
import { benchWaiting } from './waiting-bench.ts';

/*
 * Measures the farm, all but `clone` without machines. Each result is printed as it comes; one bench that fails does not cost the others.
 * `--out FILE` writes them as JSON, `--plot FILE` as a picture (SVG); `--only size,logs` leaves the others out.
 */
const { values } = parseArgs({
  options: { out: { type: 'string' }, plot: { type: 'string' }, only: { type: 'string' } },
});
// The plan first: its peak of memory is that of the process.
const BENCHES = {
  plan: benchPlan,
  documents: benchDocuments,
  farm: benchFarm,
  cost: benchCost,
  makespan: benchMakespan,
  memory: benchMemory,
  size: benchSize,
  waiting: benchWaiting,
  takeover: benchTakeover,
  layers: benchLayers,
  logs: benchLogs,
  chatter: benchChatter,
  export: benchExport,
  clone: benchClone,
};
const wanted = values.only?.split(',');
const measurements: Measurement[] = [];
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted && !wanted.includes(name)) continue;
  try {
    for await (const measurement of await bench()) {
      measurements.push(measurement);
      const { what, value, unit, target } = measurement;
      const measured = `${Number(value.toPrecision(3))} ${unit}`;
      console.log(`${what.padEnd(60)}  ${measured.padEnd(14)}  ${target}`.trimEnd());
    }
  } catch (error) {
    console.error(`${bench.name} failed: ${errorMessage(error)}`);
    process.exitCode = 1;
  }
  if (values.out) writeFileSync(values.out, `${JSON.stringify({ measurements }, null, 2)}\n`);
  if (values.plot) writeFileSync(values.plot, drawPlot(measurements));
}
