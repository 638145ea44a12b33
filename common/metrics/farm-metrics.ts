import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS } from './metric-table.ts';

type Table = typeof METRICS;
type LabelOf<K extends keyof Table> = Table[K]['labels'][number];
type InstrumentOf<K extends keyof Table> = Table[K]['type'] extends 'counter'
  ? Counter<LabelOf<K>>
  : Table[K]['type'] extends 'gauge'
    ? Gauge<LabelOf<K>>
    : Histogram<LabelOf<K>>;

/** The instruments of a process, one per row of the table, in a registry of its own. */
export type FarmMetrics = { readonly [K in keyof Table]: InstrumentOf<K> } & { readonly registry: Registry };

/** Makes all instruments. What a process never touches is exported without samples. */
export function createMetrics(): FarmMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'slipway_process_' });
  const entries = Object.entries(METRICS).map(([key, row]) => {
    const options = { name: row.name, help: row.help, labelNames: [...row.labels], registers: [registry] };
    if (row.type === 'counter') return [key, new Counter(options)];
    if (row.type === 'gauge') return [key, new Gauge(options)];
    return [key, new Histogram({ ...options, buckets: [...row.buckets] })];
  });
  return { ...Object.fromEntries(entries), registry };
}
