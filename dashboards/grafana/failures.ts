import type { Dashboard } from './dashboard.ts';
import { bars, lines, stat } from './panels.ts';
import { increase } from './queries.ts';

const failed = 'outcome="failed"';
const settled = 'outcome=~"succeeded|failed"';

/** Failures, and automatic repairs of the farm. */
export const FAILURES_PAGE: Dashboard = {
  uid: 'slipway-failures',
  title: 'Failures',
  rows: [
    {
      title: 'On call',
      panels: [
        stat('Modules failed', increase('modules', { where: failed }), {
          thresholds: { warning: 1, critical: 20 },
          width: 6,
        }),
        stat('Tried again', increase('retries'), { thresholds: { warning: 1, critical: 50 }, width: 6 }),
        stat('Orphans removed', increase('swept', { where: 'why="orphan"' }), {
          description:
            'Objects of builds that the farm does not know: it lost state, or another farm has the same name.',
          thresholds: { critical: 1 },
          width: 6,
        }),
        stat('Lost jobs dispatched again', increase('repairs'), { thresholds: { warning: 1, critical: 10 }, width: 6 }),
      ],
    },
    {
      title: 'Failures',
      panels: [
        bars(
          'Failures by reason',
          { expr: increase('phaseJobs', { by: ['phase', 'reason'], where: failed }), legend: '{{phase}}: {{reason}}' },
          {
            description: 'docs/errors.md explains how to solve each reason.',
          },
        ),
        lines(
          'Share of phase jobs that failed',
          [
            {
              expr: `${increase('phaseJobs', { by: ['phase'], where: failed }, '30m')} / ${increase('phaseJobs', { by: ['phase'], where: settled }, '30m')}`,
              legend: '{{phase}}',
            },
          ],
          { unit: 'percentunit', thresholds: { critical: 0.5 } },
        ),
        lines(
          'Failures',
          [
            {
              expr: increase('phaseJobs', { by: ['reason'], where: failed }, '$__rate_interval'),
              legend: '{{reason}}',
            },
          ],
          { stacked: true },
        ),
        lines('Tried again', [
          { expr: increase('retries', { by: ['phase'] }, '$__rate_interval'), legend: '{{phase}}' },
        ]),
      ],
    },
    {
      title: 'Repairs by the farm',
      panels: [
        lines('Sweeper', [
          { expr: increase('swept', { by: ['cluster', 'why'] }, '$__rate_interval'), legend: '{{cluster}} {{why}}' },
        ]),
        lines('Lost jobs', [{ expr: increase('repairs', { by: ['phase'] }, '$__rate_interval'), legend: '{{phase}}' }]),
      ],
    },
  ],
};
