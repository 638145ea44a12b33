import type { LayerRecord } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { GraphPlan } from '../../scheduler/graph/expand.ts';
import { type Catalog, EMPTY_CATALOG } from '../../scheduler/graph/facts.ts';

/** A record of the first layer of a recipe: one VM with one disk. */
export function layerRecord(given: Partial<LayerRecord> = {}): LayerRecord {
  const layerKey = given.layerKey ?? 'k';
  return {
    layerKey,
    recipeKey: layerKey,
    parents: [],
    module: 'base',
    version: 1,
    cluster: 'lab',
    namespace: 'slipway',
    layerBuild: '01',
    generation: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    labels: {},
    vms: [layerVm('vm', 'snapshot')],
    ...given,
  };
}

/** A VM of a layer, with the disk that this snapshot holds. */
export function layerVm(vm: string, snapshot: string): LayerRecord['vms'][number] {
  return {
    vm,
    template: 't',
    firmware: 'bios',
    disks: [{ name: 'disk', snapshot, sizeBytes: 20 * 2 ** 30, bus: 'virtio' }],
  };
}

/** A catalog as it is when the farm has built these modules of a plan, at its moment. */
export function catalogAfter(
  catalog: Catalog,
  { plan, layers }: GraphPlan,
  modules: readonly CompiledModule[],
): Catalog {
  const built = modules.flatMap((module): LayerRecord[] => {
    const layer = layers[module.name];
    if (!layer || plan.modules.find(({ name }) => name === module.name)?.action !== 'build') return [];
    const { layerKey, recipeKey, parents } = layer;
    const former = catalog.layers[catalog.newest[module.name] ?? '']?.version ?? 0;
    const record = { layerKey, recipeKey, parents: [...parents], module: module.name, version: former + 1 };
    const vms = module.vms.map(({ name }) => layerVm(name, `${layerKey}-${name}`));
    return [layerRecord({ ...record, vms, createdAt: new Date(catalog.now).toISOString() })];
  });
  return {
    ...catalog,
    layers: { ...catalog.layers, ...Object.fromEntries(built.map((record) => [record.layerKey, record])) },
    newest: { ...catalog.newest, ...Object.fromEntries(built.map(({ module, layerKey }) => [module, layerKey])) },
  };
}

/** As `catalogAfter`, of a farm that had built nothing before. */
export function catalogOf(graph: GraphPlan, modules: readonly CompiledModule[]): Catalog {
  return catalogAfter(EMPTY_CATALOG, graph, modules);
}
