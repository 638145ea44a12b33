import type { Dashboard } from './dashboard.ts';
import { lines, stat } from './panels.ts';
import { gauge, increase, quantile } from './queries.ts';

/** Counts series; without one it is 0 and not "no data". */
const count = (expr: string) => `count(${expr}) or vector(0)`;

const failed = increase('modules', { where: 'outcome="failed"' }, '1h');
const ended = increase('modules', {}, '1h');

/** The first page: is anything wrong, and where to continue. */
export const OVERVIEW: Dashboard = {
  uid: 'slipway-overview',
  title: 'Overview',
  rows: [
    {
      title: 'On call',
      panels: [
        stat('Alerts', count('ALERTS{alertname=~"Slipway.*",alertstate="firing"}'), {
          description: 'Firing alerts of the farm. Each has a page in docs/runbooks.',
          thresholds: { critical: 1 },
        }),
        stat('Clusters out of reach', count(`${gauge('clusterHealthy', { by: ['cluster'] })} == 0`), {
          thresholds: { critical: 1 },
          detail: 'slipway-capacity',
        }),
        stat('Phases without a worker', count(`${gauge('workerCapacity', { by: ['phase', 'cluster'] })} == 0`), {
          thresholds: { critical: 1 },
          detail: 'slipway-workers',
        }),
        stat('Oldest job', gauge('queueOldest'), {
          description: 'Over all queues. A worker with room takes a job within milliseconds.',
          unit: 's',
          thresholds: { warning: 60, critical: 300 },
          detail: 'slipway-workers',
        }),
        stat('Modules failed, last hour', `(${failed}) / (${ended} > 0) or vector(0)`, {
          unit: 'percentunit',
          thresholds: { warning: 0.2, critical: 0.5 },
          detail: 'slipway-failures',
        }),
        stat('Redis is healthy', `min(${gauge('redisUp')} * ${gauge('redisNoEviction')})`, {
          description: 'Redis answers and never evicts keys.',
          unit: 'bool_yes_no',
          thresholds: { critical: 1, above: false },
          detail: 'slipway-workers',
        }),
      ],
    },
    {
      title: 'Work',
      panels: [
        lines('Jobs under way', [{ expr: gaugeOf('active'), legend: '{{phase}}' }], {
          stacked: true,
          detail: 'slipway-phases',
        }),
        lines(
          'Waiting for room',
          [{ expr: gauge('admissionWaiting', { by: ['cluster', 'kind'] }), legend: '{{cluster}} {{kind}}' }],
          {
            description: 'Ready, but the limits of the cluster or the room of its workers are used up.',
            detail: 'slipway-capacity',
          },
        ),
        lines(
          'Waiting for people',
          [
            { expr: gauge('handbuildsWaiting', { by: ['cluster'] }), legend: '{{cluster}}' },
            { expr: gauge('clonesRunning', { by: ['cluster'] }), legend: '{{cluster}} clones' },
          ],
          {
            description: 'Machines with a step that waits for a person, and machines of running clones.',
          },
        ),
        lines('Builds ended', [
          { expr: increase('builds', { by: ['outcome'] }, '$__rate_interval'), legend: '{{outcome}}' },
        ]),
        lines(
          'Modules ended',
          [{ expr: increase('modules', { by: ['outcome'] }, '$__rate_interval'), legend: '{{outcome}}' }],
          {
            detail: 'slipway-failures',
          },
        ),
        lines(
          'Time of a module',
          [
            { expr: quantile(0.5, 'moduleDuration', { where: 'outcome="succeeded"' }), legend: 'median' },
            { expr: quantile(0.9, 'moduleDuration', { where: 'outcome="succeeded"' }), legend: '90 %' },
          ],
          { unit: 's', detail: 'slipway-phases' },
        ),
        lines('Layers', [{ expr: increase('layers', { by: ['action'] }, '$__rate_interval'), legend: '{{action}}' }], {
          description: 'Modules of submissions by action: built, reused, or joined to a running build.',
          stacked: true,
        }),
      ],
    },
  ],
};

function gaugeOf(state: string): string {
  return `sum by (phase) (${gauge('queueDepth', { by: ['phase', 'cluster'], where: `state="${state}"` })})`;
}
