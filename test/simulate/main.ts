import { parseArgs } from 'node:util';
import { seconds } from '../../common/text/durations.ts';
import { simulate } from './simulate.ts';

/*
 * Builds 10,000 modules on 100 simulated clusters with the farm's own scripts and dispatchers, in virtual time. The same
 * `--seed` is the same run. `--slots` gives every cluster so many machines, `--machines` every module at most so many. Fails when a limit was exceeded, a phase succeeded twice, or a build did not succeed.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e6)) },
    clusters: { type: 'string', default: '100' },
    modules: { type: 'string', default: '10000' },
    owners: { type: 'string', default: '4' },
    slots: { type: 'string' },
    machines: { type: 'string', default: '3' },
    outages: { type: 'string', default: '30' },
    losses: { type: 'string', default: '0.01' },
    json: { type: 'boolean', default: false },
  },
});
const clusters = Number(values.clusters);
const scenario = {
  ...{ seed: Number(values.seed), clusters, modulesPerCluster: Math.ceil(Number(values.modules) / clusters) },
  ...{ owners: Number(values.owners), machines: Number(values.machines) },
  ...(values.slots === undefined ? {} : { slots: Number(values.slots) }),
  ...{ outages: Number(values.outages), losses: Number(values.losses) },
};
const report = await simulate(scenario);
const rows: readonly (readonly [what: string, value: string, target: string])[] = [
  ['modules', String(report.modules), ''],
  ['makespan, virtual', seconds(report.makespan), ''],
  ['makespan / bound, mean', report.overBound.mean.toFixed(3), ''],
  ['makespan / bound, worst cluster', report.overBound.worst.toFixed(3), ''],
  ['the same after an outage, mean', report.overBoundWithOutage.mean.toFixed(3), ''],
  ["Jain's fairness, mean", report.fairness.mean.toFixed(3), ''],
  [`the same, least of ${report.fairness.clusters} clusters`, report.fairness.least.toFixed(3), ''],
  ['wait for machines, p50', seconds(report.waits.p50), ''],
  ['wait for machines, p95', seconds(report.waits.p95), ''],
  ['wait for machines, longest', seconds(report.waits.longest), ''],
  ['limits exceeded', String(report.violations), '0'],
  ['phases that succeeded twice', String(report.twice), '0'],
  ['builds that did not succeed', String(report.failed), '0'],
];
if (values.json) process.stdout.write(`${JSON.stringify({ scenario, report })}\n`);
else {
  process.stdout.write(`seed ${scenario.seed}\n`);
  for (const [what, value, target] of rows) {
    process.stdout.write(`${what.padEnd(38)}${value.padStart(14)}${target === '' ? '' : `   (target ${target})`}\n`);
  }
}
if (report.violations + report.twice + report.failed > 0) process.exitCode = 1;
