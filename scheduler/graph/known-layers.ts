import type { LayerRecord } from '../../common/contracts/layers.ts';
import { own } from '../../common/contracts/own.ts';
import type { Catalog } from './facts.ts';

/** The finished layers of a catalog, as planning asks for them. */
export interface KnownLayers {
  /** The newest layer that was made from a recipe. */
  newestOf(recipeKey: string): LayerRecord | undefined;
  /** The newest version of a module. */
  currentOf(module: string): LayerRecord | undefined;
  /** Whether a layerKey names a layer that is there, or was there and is what another one is based on. */
  isTaken(layerKey: string): boolean;
  /** The current versions of modules that are based on a layer. */
  childrenOf(layerKey: string): readonly LayerRecord[];
}

export function indexLayers({ layers, newest }: Catalog): KnownLayers {
  const byRecipe = new Map<string, LayerRecord>();
  const byParent = new Map<string, LayerRecord[]>();
  for (const record of Object.values(layers)) {
    const other = byRecipe.get(record.recipeKey);
    if (!other || isNewer(record, other)) byRecipe.set(record.recipeKey, record);
    for (const parent of record.parents) {
      const children = byParent.get(parent);
      if (children) children.push(record);
      else byParent.set(parent, [record]);
    }
  }
  return {
    newestOf: (recipeKey) => byRecipe.get(recipeKey),
    currentOf: (module) => own(layers, own(newest, module) ?? ''),
    isTaken: (layerKey) => own(layers, layerKey) !== undefined || byParent.has(layerKey),
    childrenOf: (layerKey) =>
      (byParent.get(layerKey) ?? []).filter((child) => own(newest, child.module) === child.layerKey),
  };
}

function isNewer(a: LayerRecord, b: LayerRecord): boolean {
  const [earlier, later] = [Date.parse(b.createdAt), Date.parse(a.createdAt)];
  return earlier === later ? a.version > b.version : later > earlier;
}
