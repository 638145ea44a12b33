import { type AnyMetric, METRICS } from '../../common/metrics/metric-table.ts';

/** A metric by its key in the table. */
export type MetricKey = keyof typeof METRICS;

/** Which series of a metric, and what stays apart. */
export interface Selection {
  /** Labels that are kept. */
  readonly by?: readonly string[];
  /** Further matchers, e.g. `outcome="failed"`. */
  readonly where?: string;
}

/** The value of a gauge. Every scheduler reports the same state of the farm, so they are never added up. */
export function gauge(key: MetricKey, { by = [], where }: Selection = {}): string {
  return `max${grouping(by)} (${series(key, '', where)})`;
}

/** Events a second, over all processes. */
export function rate(key: MetricKey, { by = [], where }: Selection = {}): string {
  return `sum${grouping(by)} (rate(${series(key, '', where)}[$__rate_interval]))`;
}

/** Events in the dashboard's time range, or another. */
export function increase(key: MetricKey, { by = [], where }: Selection = {}, range = '$__range'): string {
  return `sum${grouping(by)} (increase(${series(key, '', where)}[${range}]))`;
}

/** A quantile of a histogram in its own unit. */
export function quantile(q: number, key: MetricKey, { by = [], where }: Selection = {}): string {
  const rates = `sum${grouping(['le', ...by])} (rate(${series(key, '_bucket', where)}[$__rate_interval]))`;
  return `histogram_quantile(${q}, ${rates})`;
}

/** Sum of a histogram's observations per second. */
export function sumRate(key: MetricKey, { by = [], where }: Selection = {}): string {
  return `sum${grouping(by)} (rate(${series(key, '_sum', where)}[$__rate_interval]))`;
}

/** Series of a metric on the chosen clusters, where it knows clusters. */
function series(key: MetricKey, suffix: string, where?: string): string {
  const row: AnyMetric = METRICS[key];
  const matchers = [...('cluster' in row.labels ? ['cluster=~"$cluster"'] : []), ...(where ? [where] : [])];
  return `${row.name}${suffix}${matchers.length === 0 ? '' : `{${matchers.join(',')}}`}`;
}

function grouping(by: readonly string[]): string {
  return by.length === 0 ? '' : ` by (${by.join(', ')})`;
}
