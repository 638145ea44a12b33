import type { Dashboard } from './dashboard.ts';
import { lines, type Panel, stat } from './panels.ts';
import { gauge, increase } from './queries.ts';

const by = ['cluster', 'resource'];
const filled = `${gauge('slotsUsed', { by })} / ${gauge('slotsLimit', { by })}`;

/** Capacity of clusters, and its use by the farm. */
export const CLUSTER_CAPACITY: Dashboard = {
  uid: 'slipway-capacity',
  title: 'Cluster capacity',
  rows: [
    {
      title: 'On call',
      panels: [
        stat('Answering', gauge('clusterHealthy', { by: ['cluster'] }), {
          unit: 'bool_yes_no',
          thresholds: { critical: 1, above: false },
          queries: [{ expr: gauge('clusterHealthy', { by: ['cluster'] }), legend: '{{cluster}}' }],
          width: 6,
        }),
        stat('Fullest limit', `max(${filled})`, {
          unit: 'percentunit',
          thresholds: { warning: 0.9, critical: 1 },
          width: 6,
        }),
        stat(
          'Modules waiting for room',
          `sum(${gauge('admissionWaiting', { by: ['cluster'], where: 'kind="modules"' })})`,
          { width: 6 },
        ),
        stat(
          'Imports waiting for room',
          `sum(${gauge('admissionWaiting', { by: ['cluster'], where: 'kind="imports"' })})`,
          { width: 6 },
        ),
      ],
    },
    {
      title: 'Limits',
      panels: [
        lines('Share of the limits in use', [{ expr: filled, legend: '{{cluster}} {{resource}}' }], {
          unit: 'percentunit',
          thresholds: { warning: 0.9, critical: 1 },
          width: 24,
        }),
        resource('Machines', 'vms', 'short'),
        resource('Imports', 'imports', 'short'),
        resource('Cores', 'cpu', 'suffix:cores'),
        resource('Memory', 'memory', 'bytes'),
        lines(
          'Free storage',
          [
            { expr: gauge('storageFree', { by: ['cluster'] }), legend: '{{cluster}} free' },
            { expr: gauge('storageLeast', { by: ['cluster'] }), legend: '{{cluster}} takes no builds below' },
          ],
          { unit: 'bytes', description: 'Only clusters whose CSI driver reports its free capacity.' },
        ),
      ],
    },
    {
      title: 'Kubernetes API',
      panels: [
        lines(
          'Errors by status',
          [
            {
              expr: increase('apiErrors', { by: ['cluster', 'status'] }, '$__rate_interval'),
              legend: '{{cluster}} {{status}}',
            },
          ],
          {
            description: '404 and 409 are part of normal operation: an object may not exist yet, or exist already.',
          },
        ),
        lines('Watches opened again', [
          {
            expr: increase('watchRestarts', { by: ['cluster', 'why'] }, '$__rate_interval'),
            legend: '{{cluster}} {{why}}',
          },
        ]),
      ],
    },
  ],
};

function resource(title: string, name: string, unit: Panel['unit']): Panel {
  const only = { by: ['cluster'], where: `resource="${name}"` };
  const queries = [
    { expr: gauge('slotsUsed', only), legend: '{{cluster}} used' },
    { expr: gauge('slotsLimit', only), legend: '{{cluster}} limit' },
  ];
  return lines(title, queries, { unit });
}
