/** In the order in which they run. */
export const BENCH_NAMES = [
  'plan',
  'documents',
  'farm',
  'cost',
  'makespan',
  'memory',
  'size',
  'waiting',
  'takeover',
  'layers',
  'logs',
  'chatter',
  'export',
  'clone',
] as const;

export type BenchName = (typeof BENCH_NAMES)[number];
