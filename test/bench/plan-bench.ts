import { expandGraph } from '../../scheduler/graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../../scheduler/graph/facts.ts';
import { buildRef, compiledModule, shell } from '../harness/module-factory.ts';
import type { Measurement } from './measurement.ts';

const LAYERS = 50;
const MODULES_PER_LAYER = 200;

/** Plans 10,000 modules in 50 layers; each stands on two of the layer below, so there are diamonds everywhere. */
export function benchPlan(): Measurement[] {
  const modules = Array.from({ length: LAYERS * MODULES_PER_LAYER }, (_, index) => moduleAt(index));
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

function moduleAt(index: number) {
  // Modules that say the same are one layer: each gets a step of its own.
  const steps = [shell(`echo ${index}`)];
  const layer = Math.floor(index / MODULES_PER_LAYER);
  if (layer === 0) return compiledModule({ name: `m${index}`, vms: [{ name: 'vm0', steps }, { name: 'vm1' }] });
  const below = (offset: number) => (layer - 1) * MODULES_PER_LAYER + ((index + offset) % MODULES_PER_LAYER);
  const vms = [0, 1].map((n) => ({ name: `vm${n}`, source: buildRef(`m${below(n)}`, `vm${n}`), steps }));
  return compiledModule({ name: `m${index}`, vms });
}
