import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { printTable } from '../../cli/output/table.ts';
import { benchFarm } from './farm-bench.ts';
import { benchPlan } from './plan-bench.ts';

const { values } = parseArgs({ options: { out: { type: 'string' } } });
const measurements = [...benchPlan(), ...(await benchFarm())];
printTable(
  ['what', 'measured', 'target'],
  measurements.map(({ what, value, unit, target }) => [what, `${Number(value.toPrecision(3))} ${unit}`, target]),
);
if (values.out) writeFileSync(values.out, `${JSON.stringify({ measurements }, null, 2)}\n`);
