import { PROCESS_METRICS } from '../../common/metrics/metric-table.ts';
import type { Dashboard } from './dashboard.ts';
import { lines, stat } from './panels.ts';
import { gauge, quantile, rate } from './queries.ts';

const perQueue = ['phase', 'cluster'];
const active = gauge('queueDepth', { by: perQueue, where: 'state="active"' });
const memory = `${gauge('redisMemoryUsed')} / ${gauge('redisMemoryLimit')}`;

/** The machinery: queues, workers, Redis, processes. */
export const WORKERS_AND_QUEUES: Dashboard = {
  uid: 'slipway-workers',
  title: 'Workers and queues',
  rows: [
    {
      title: 'On call',
      panels: [
        stat('Room of workers', '', {
          queries: [{ expr: `sum by (phase) (${gauge('workerCapacity', { by: perQueue })})`, legend: '{{phase}}' }],
          thresholds: { critical: 1, above: false },
          width: 8,
        }),
        stat('Oldest job', '', {
          queries: [{ expr: gauge('queueOldest', { by: ['phase'] }), legend: '{{phase}}' }],
          unit: 's',
          thresholds: { warning: 60, critical: 300 },
          width: 8,
        }),
        stat("Redis's memory", memory, { unit: 'percentunit', thresholds: { warning: 0.7, critical: 0.8 } }),
        stat('Redis never evicts', gauge('redisNoEviction'), {
          unit: 'bool_yes_no',
          thresholds: { critical: 1, above: false },
        }),
      ],
    },
    {
      title: 'Queues and workers',
      panels: [
        lines('Jobs on queues', [
          { expr: gauge('queueDepth', { by: [...perQueue, 'state'] }), legend: '{{phase}} {{cluster}} {{state}}' },
        ]),
        lines(
          'Age of the oldest job',
          [{ expr: gauge('queueOldest', { by: perQueue }), legend: '{{phase}} {{cluster}}' }],
          {
            unit: 's',
            thresholds: { critical: 300 },
          },
        ),
        lines(
          'Workers in use',
          [{ expr: `${active} / (${gauge('workerCapacity', { by: perQueue })} > 0)`, legend: '{{phase}} {{cluster}}' }],
          {
            description: 'Near 100 % for long: more workers of this phase would help, if the cluster has room.',
            unit: 'percentunit',
            thresholds: { warning: 0.9, critical: 1 },
          },
        ),
        lines(
          'Wait on the queue, 99 %',
          [{ expr: quantile(0.99, 'queueWait', { by: ['phase'] }), legend: '{{phase}}' }],
          { unit: 's' },
        ),
      ],
    },
    {
      title: 'Redis',
      panels: [
        lines(
          'Time of a reply',
          [
            { expr: quantile(0.5, 'redisLatency'), legend: 'median' },
            { expr: quantile(0.99, 'redisLatency'), legend: '99 %' },
          ],
          { unit: 's', thresholds: { critical: 0.1 } },
        ),
        lines(
          'Memory',
          [
            { expr: gauge('redisMemoryUsed'), legend: 'used' },
            { expr: gauge('redisMemoryLimit'), legend: 'limit' },
          ],
          { unit: 'bytes' },
        ),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines(
          'CPU',
          [
            {
              expr: `sum by (job, instance) (rate(${PROCESS_METRICS.cpu}[$__rate_interval]))`,
              legend: '{{job}} {{instance}}',
            },
          ],
          { unit: 'suffix:cores', width: 8 },
        ),
        lines(
          'Memory',
          [{ expr: `sum by (job, instance) (${PROCESS_METRICS.memory})`, legend: '{{job}} {{instance}}' }],
          { unit: 'bytes', width: 8 },
        ),
        lines(
          'Event loop lag, 99 %',
          [{ expr: `max by (job, instance) (${PROCESS_METRICS.eventLoopLag})`, legend: '{{job}} {{instance}}' }],
          { unit: 's', width: 8 },
        ),
        lines('Errors of the Kubernetes API', [{ expr: rate('apiErrors', { by: ['status'] }), legend: '{{status}}' }], {
          unit: 'ops',
          width: 24,
          detail: 'slipway-capacity',
        }),
      ],
    },
  ],
};
