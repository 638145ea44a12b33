import { BUILD_METRICS } from './build-metrics.ts';
import type { MetricRow } from './metric-row.ts';
import { OPERATION_METRICS } from './operation-metrics.ts';

/** Every metric of the farm; dashboards, alert rules and docs/metrics.md are made from these names. */
export const METRICS = { ...BUILD_METRICS, ...OPERATION_METRICS } as const;

/** A row, without its exact type. */
export type AnyMetric = MetricRow;

/** Those of prom-client's own metrics that dashboards show; every process has them. */
export const PROCESS_METRICS = {
  cpu: 'slipway_process_cpu_seconds_total',
  memory: 'slipway_process_resident_memory_bytes',
  eventLoopLag: 'slipway_nodejs_eventloop_lag_p99_seconds',
} as const;
