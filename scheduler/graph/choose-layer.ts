import type { Action } from '../../common/contracts/events.ts';
import type { LayerRecord } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { formatAge } from '../../common/contracts/module/duration.ts';
import type { Catalog } from './facts.ts';
import type { KnownLayers } from './known-layers.ts';
import { nextLayerKey } from './layer-key.ts';

/** Which layer a module gets, and how. */
export interface Choice {
  readonly action: Action;
  readonly layerKey: string;
  /** Reason, in a few words. */
  readonly why: string;
}

/** A module whose recipe is known. */
export interface Candidate {
  readonly module: CompiledModule;
  readonly recipeKey: string;
  /** Problems that make the recipe unique, or that of an unknown parent. */
  readonly provisional: boolean;
  /** Reason for building if no layer can be reused. */
  readonly whyNew: string;
}

/** Input of the choice. */
export interface Choosing {
  readonly catalog: Catalog;
  readonly known: KnownLayers;
  /** Layers that the plan builds so far, by recipeKey. */
  readonly built: ReadonlyMap<string, { readonly module: CompiledModule; readonly layerKey: string }>;
  readonly noCache: boolean;
  /** Names of modules. */
  readonly rebuild: readonly string[];
}

/**
 * Chooses the layer of a module: the newest one of its recipe, unless it is too old or the build asks for another. That
 * one gets a layerKey of its own, derived from the one that it replaces: builds that plan the same at the same time get
 * the same key, and joins. The first layer of a recipe has the recipe's key.
 */
export function chooseLayer(candidate: Candidate, choosing: Choosing): Choice {
  const { module, recipeKey, provisional } = candidate;
  const { catalog, known, built } = choosing;
  const twin = built.get(recipeKey);
  if (twin) return { action: 'join', layerKey: twin.layerKey, why: `the same layer as ${twin.module.name}` };

  const newest = provisional ? undefined : known.newestOf(recipeKey);
  const renewal = whyAsked(module.name, choosing) ?? (newest && whyTooOld(module, newest, catalog.now));
  if (newest && renewal === undefined) {
    return { action: 'reuse', layerKey: newest.layerKey, why: describe(newest) };
  }

  // Keys are never reused: children of a removed layer must not count as children of its successor.
  const isAsked = whyAsked(module.name, choosing) !== undefined;
  const isPassed = (key: string) => known.isTaken(key) || (isAsked && catalog.building.get(key)?.isBegun === true);
  let layerKey = newest ? nextLayerKey(recipeKey, newest.layerKey) : recipeKey;
  while (isPassed(layerKey)) layerKey = nextLayerKey(recipeKey, layerKey);
  if (!provisional && catalog.building.has(layerKey))
    return { action: 'join', layerKey, why: 'is being built already' };
  return { action: 'build', layerKey, why: renewal ?? candidate.whyNew };
}

function whyAsked(name: string, { noCache, rebuild }: Choosing): string | undefined {
  if (rebuild.includes(name)) return 'rebuilt by --rebuild';
  return noCache ? 'rebuilt by --no-cache' : undefined;
}

/** Maximum ages of a module's layer and of its sources. */
function whyTooOld(module: CompiledModule, newest: LayerRecord, now: number): string | undefined {
  const ages = module.vms.flatMap(({ source, isos }) => [source, ...isos].map(maxAgeOf));
  const maxAgeMs = Math.min(module.maxAgeMs ?? Number.POSITIVE_INFINITY, ...ages);
  return now - Date.parse(newest.createdAt) > maxAgeMs ? `older than ${formatAge(maxAgeMs)}` : undefined;
}

function maxAgeOf(aged: object): number {
  return 'maxAgeMs' in aged && typeof aged.maxAgeMs === 'number' ? aged.maxAgeMs : Number.POSITIVE_INFINITY;
}

/** By its time and not its age, because builds keep it. */
function describe({ module, version, createdAt }: LayerRecord): string {
  return `${module}:${version}, built ${createdAt.slice(0, 16).replace('T', ' ')} UTC`;
}
