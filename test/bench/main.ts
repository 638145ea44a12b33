import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { printTable } from '../../cli/output/table.ts';
import { benchFarm } from './farm-bench.ts';
import { benchMakespan } from './makespan-bench.ts';
import { benchMemory } from './memory-bench.ts';
import { benchPlan } from './plan-bench.ts';

const { values } = parseArgs({ options: { out: { type: 'string' } } });
// The plan first: its peak of memory is that of the process.
const measurements = [...benchPlan(), ...(await benchFarm()), ...(await benchMakespan()), ...(await benchMemory())];
printTable(
  ['what', 'measured', 'target'],
  measurements.map(({ what, value, unit, target }) => [what, `${Number(value.toPrecision(3))} ${unit}`, target]),
);
if (values.out) writeFileSync(values.out, `${JSON.stringify({ measurements }, null, 2)}\n`);
