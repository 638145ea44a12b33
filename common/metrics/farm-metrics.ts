import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type AnyMetric, METRICS } from './metric-table.ts';

type Table = typeof METRICS;
type LabelOf<K extends keyof Table> = Extract<keyof Table[K]['labels'], string>;
type InstrumentOf<K extends keyof Table> = Table[K]['type'] extends 'counter'
  ? Counter<LabelOf<K>>
  : Table[K]['type'] extends 'gauge'
    ? Gauge<LabelOf<K>>
    : Histogram<LabelOf<K>>;

/** The instruments of a process, one per row of the table, in a registry of its own. */
export type FarmMetrics = { readonly [K in keyof Table]: InstrumentOf<K> } & { readonly registry: Registry };

/** Owner of the metrics. Counters of the process start at zero, so that a first event is an increase. */
export interface MetricsOwner {
  readonly process: 'scheduler' | 'worker';
  readonly clusters: readonly string[];
  /** The phase of a worker; its metrics have no other phase. */
  readonly phase?: string;
}

/** Makes all instruments, and exports those of the owner; without one all, and none at zero. */
export function createMetrics(owner?: MetricsOwner): FarmMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'slipway_' });
  const entries = Object.entries<AnyMetric>(METRICS).map(([key, row]) => {
    const { name, help } = row;
    // A gauge without labels is at 0 from the start: a worker would report that Redis is down.
    const isOwn = owner === undefined || row.of.includes(owner.process);
    const options = { name, help, labelNames: Object.keys(row.labels), registers: isOwn ? [registry] : [] };
    if (row.type === 'gauge') return [key, new Gauge(options)];
    const instrument =
      row.type === 'counter' ? new Counter(options) : new Histogram({ ...options, buckets: [...(row.buckets ?? [])] });
    const series = owner && isOwn ? knownSeries(row, owner) : [];
    for (const labels of series) {
      if (instrument instanceof Counter) instrument.inc(labels, 0);
      else instrument.zero(labels);
    }
    return [key, instrument];
  });
  return { ...Object.fromEntries(entries), registry };
}

/** All combinations of label values that the owner can meet; none when a label has values that are not known beforehand. */
function knownSeries({ labels, series }: AnyMetric, owner: MetricsOwner): Record<string, string>[] {
  const known: Readonly<Record<string, readonly string[]>> = {
    cluster: owner.clusters,
    ...(owner.phase === undefined ? {} : { phase: [owner.phase] }),
  };
  const fixed = series?.[0] ? Object.keys(series[0]) : [];
  let sets: Record<string, string>[] = series ? series.map((each) => ({ ...each })) : [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (fixed.includes(label)) continue;
    const possible = known[label] ?? values ?? [];
    sets = sets.flatMap((set) => possible.map((value) => ({ ...set, [label]: value })));
  }
  return sets;
}
