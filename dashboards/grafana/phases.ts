import type { Dashboard } from './dashboard.ts';
import { lines, type Panel, type Query } from './panels.ts';
import { increase, type MetricKey, quantile, rate, sumRate } from './queries.ts';

const succeeded = 'outcome="succeeded"';

/** How long the parts of a build take. */
export const PHASES_PAGE: Dashboard = {
  uid: 'slipway-phases',
  title: 'Phases',
  rows: [
    {
      title: 'All phases',
      panels: [
        lines(
          'Jobs ended',
          [
            {
              expr: increase('phaseJobs', { by: ['phase', 'outcome'] }, '$__rate_interval'),
              legend: '{{phase}} {{outcome}}',
            },
          ],
          {
            detail: 'slipway-failures',
          },
        ),
        durations('Time of a phase', 'phaseDuration', { by: 'phase', where: succeeded }),
        lines('Hand-off', twoQuantiles('handOff', 'phase'), {
          unit: 's',
          description:
            'From the commit that made a phase ready to its first claim. Imports and boots may wait for room.',
          thresholds: { critical: 2 },
        }),
        lines('Wait on the queue', twoQuantiles('queueWait', 'phase'), { unit: 's', detail: 'slipway-workers' }),
      ],
    },
    {
      title: 'Import',
      panels: [
        durations('Time of an import', 'importDuration', { where: succeeded }),
        lines('Imported', [{ expr: sumRate('importBytes'), legend: 'virtual size' }], { unit: 'Bps' }),
      ],
    },
    {
      title: 'Boot',
      panels: [
        durations('Typing', 'typingDuration', { where: succeeded, width: 8 }),
        lines('Keys pressed', [{ expr: rate('keystrokes'), legend: 'keys' }], { unit: 'ops', width: 8 }),
        durations('Until the guest is up', 'sshWait', { where: succeeded, width: 8 }),
      ],
    },
    {
      title: 'Provision and snapshot',
      panels: [
        durations('Time of a step', 'stepDuration', { by: 'type', where: succeeded, width: 8 }),
        lines('Scripts adopted', [{ expr: increase('adoptedScripts', {}, '$__rate_interval'), legend: 'scripts' }], {
          description: 'Found running by a worker that took over; each would have been run twice or lost otherwise.',
          width: 8,
        }),
        durations('Capturing the disks of a VM', 'snapshotDuration', { where: succeeded, width: 8 }),
      ],
    },
  ],
};

interface DurationsOf {
  readonly by?: string;
  readonly where?: string;
  readonly width?: number;
}

/** Median and 90 % of a histogram of seconds. */
function durations(title: string, key: MetricKey, { by, where, width = 12 }: DurationsOf): Panel {
  const selection = { ...(by ? { by: [by] } : {}), ...(where ? { where } : {}) };
  const name = by ? `{{${by}}} ` : '';
  const queries = [
    { expr: quantile(0.5, key, selection), legend: `${name}median` },
    { expr: quantile(0.9, key, selection), legend: `${name}90 %` },
  ];
  return lines(title, queries, { unit: 's', width });
}

function twoQuantiles(key: MetricKey, by: string): Query[] {
  return [
    { expr: quantile(0.5, key, { by: [by] }), legend: `{{${by}}} median` },
    { expr: quantile(0.99, key, { by: [by] }), legend: `{{${by}}} 99 %` },
  ];
}
