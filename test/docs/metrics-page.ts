import { type AnyMetric, METRICS, PROCESS_METRICS } from '../../common/metrics/metric-table.ts';

/** `docs/metrics.md`: the metric table for people. */
export function metricsPage(): string {
  const rows = Object.values<AnyMetric>(METRICS).map(({ name, type, of, labels, help }) =>
    [`\`${name}\``, type, of.join(', '), labelsOf(labels), help].join(' | '),
  );
  return `${[
    '# Metrics',
    '<!-- Written by `npm run docs`. Change the source it names, not this page. -->',
    'Prometheus metrics of the farm, from `common/metrics/metric-table.ts`. Every process serves them at `/metrics` behind a token of their own (`metrics.tokenFile`). No label carries an id: what happened to one build is in its events and logs.',
    'Counters and histograms of a process are zero from its start, for every combination of labels that it can meet. Every scheduler reports the same gauges, so take `max`, never `sum`, over processes; counters are added up. Builds, modules and repairs are counted by one scheduler at a time.',
    `| name | type | of | labels | meaning |\n| --- | --- | --- | --- | --- |\n${rows.map((row) => `| ${row} |`).join('\n')}`,
    `Every process also exports prom-client's own metrics of Node.js, with the prefix \`slipway_\`: ${Object.values(
      PROCESS_METRICS,
    )
      .map((name) => `\`${name}\``)
      .join(', ')} and others.`,
    'Dashboards made from them are in `dashboards/grafana`, alert rules in `deploy/prometheus/rules`, what to do about an alert in [runbooks](runbooks/README.md).',
  ].join('\n\n')}\n`;
}

/** Long lists of values are cut after the first ones. */
function labelsOf(labels: AnyMetric['labels']): string {
  return Object.entries(labels)
    .map(([label, values]) => {
      if (values === null) return `\`${label}\``;
      const shown = values.filter((value) => value !== '').slice(0, 6);
      const more = values.length > shown.length + 1 ? ', …' : '';
      return `\`${label}\` (${shown.join(', ')}${more})`;
    })
    .join('; ');
}
