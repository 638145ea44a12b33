import { purgeFarms } from '../harness/farm.ts';
import type { BenchName } from './bench-names.ts';
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
import { benchSize } from './size-bench.ts';
import { benchTakeover } from './takeover-bench.ts';
import { benchWaiting } from './waiting-bench.ts';

type Measurements = readonly Measurement[] | Promise<readonly Measurement[]> | AsyncGenerator<Measurement>;

/* One bench, by the name of its argument; its measurements are messages to `main.ts`, which ends it with SIGTERM. */
const BENCHES: Readonly<Record<BenchName, () => Measurements>> = {
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

process.once('SIGTERM', () => void purgeFarms().finally(() => process.exit(1)));
for await (const measurement of await BENCHES[process.argv[2] as BenchName]()) process.send?.(measurement);
process.disconnect?.();
