import { expandGraph } from '../../scheduler/graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../../scheduler/graph/facts.ts';
import type { Measurement } from './measurement.ts';
import { createRandom, layeredModules } from './random-graph.ts';

/** Plans 10,000 modules in 50 layers. */
export function benchPlan(): Measurement[] {
  const modules = layeredModules({ layers: 50, modulesPerLayer: 200 }, createRandom(1));
  const start = performance.now();
  const facts = offlineFacts(modules);
  const { plan } = expandGraph({ modules, facts, catalog: EMPTY_CATALOG, fingerprint: (secret) => secret });
  const value = performance.now() - start;
  const { jobs, modules: planned } = plan.totals;
  return [
    { what: `plan of ${planned} modules with ${jobs} jobs`, value, unit: 'ms', target: '<= 2000 ms' },
    { what: 'peak memory of it', value: process.resourceUsage().maxRSS / 1024, unit: 'MiB', target: '<= 512 MiB' },
  ];
}
