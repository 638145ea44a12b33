import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { partPath } from '../../common/contracts/module/places.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import { own } from '../../common/contracts/own.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import type { Catalog, OfferedLayer } from './facts.ts';
import { problemOf } from './planning-problems.ts';
import { topologicalOrder } from './topological-order.ts';

/** Comparing a name with all others takes time: at most this many suggestions are made. */
const MAX_SUGGESTIONS = 20;

/** Parent of a VM with a `buildRef`. */
export type ParentLink = {
  /** The VM that starts from it. */
  readonly vm: string;
  /** The VM of the parent. */
  readonly parentVm: string;
} & (
  | { readonly kind: 'module'; readonly parent: CompiledModule }
  | { readonly kind: 'layer'; readonly parent: OfferedLayer }
);

export interface ResolvedModule {
  readonly module: CompiledModule;
  readonly links: readonly ParentLink[];
  /** False when a parent is not known: the module can be looked at, but not planned. */
  readonly complete: boolean;
}

export interface ResolvedGraph {
  /** In topological order, in the order given among those of one depth. Modules in a cycle or below one are left out. */
  readonly modules: readonly ResolvedModule[];
  readonly problems: readonly Problem[];
}

export interface ResolveOptions {
  readonly catalog: Catalog;
  /** Whether a module that neither the submission nor the catalog has is an error, or may be on a farm not asked. */
  readonly unknownParents: 'error' | 'warning';
}

/** Finds the parents of every module and orders the modules, or reports problems. */
export function resolveReferences(modules: readonly CompiledModule[], options: ResolveOptions): ResolvedGraph {
  const problems: Problem[] = [];
  const unique = new Map<string, CompiledModule>();
  for (const module of modules) {
    const first = unique.get(module.name);
    if (!first) unique.set(module.name, module);
    else {
      const message = `the name is taken by the module at ${first.origin.file}:${first.origin.line}`;
      problems.push(problemOf(module, { code: 'DuplicateModule', message }));
    }
  }
  const resolver: Resolver = { ...options, unique, problems, suggestions: 0 };
  const nodes = [...unique.values()];
  const resolved = nodes.map((module) => resolveModule(module, resolver));
  const numbers = new Map(nodes.map((module, number) => [module.name, number]));
  const { order, cycles } = topologicalOrder(
    resolved.map(({ names }) => names.flatMap((name) => numbers.get(name) ?? [])),
  );
  for (const cycle of cycles) {
    const [first] = cycle.map((number) => nodes[number]);
    const path = cycle.map((number) => nodes[number]?.name).join(' -> ');
    if (first)
      problems.push(problemOf(first, { code: 'GraphCycle', message: `the modules start from each other: ${path}` }));
  }
  return { modules: order.flatMap((number) => resolved[number] ?? []), problems };
}

interface Resolver extends ResolveOptions {
  readonly unique: ReadonlyMap<string, CompiledModule>;
  readonly problems: Problem[];
  suggestions: number;
}

/** `names` are the modules of the submission that it refers to, even where the VM is wrong: they may close a cycle. */
function resolveModule(
  module: CompiledModule,
  resolver: Resolver,
): ResolvedModule & { readonly names: readonly string[] } {
  const links: ParentLink[] = [];
  const names = new Set<string>();
  let complete = true;
  for (const { name: vm, source } of module.vms) {
    if (source.kind !== 'buildRef') continue;
    if (source.image === null && resolver.unique.has(source.module)) names.add(source.module);
    const link = resolveVm(module, { vm, module: source.module, image: source.image, parentVm: source.vm }, resolver);
    if (link) links.push(link);
    else complete = false;
  }
  return { module, links, complete, names: [...names] };
}

interface RequestedParent {
  readonly vm: string;
  readonly module: string;
  /** A version of it. */
  readonly image: string | null;
  readonly parentVm: string | null;
}

function resolveVm(module: CompiledModule, requested: RequestedParent, resolver: Resolver): ParentLink | undefined {
  if (requested.image !== null) return resolveImage(module, { ...requested, image: requested.image }, resolver);
  const submitted = resolver.unique.get(requested.module);
  if (submitted) {
    const parentVm = chooseVm(module, { ...requested, vms: submitted.vms.map((vm) => vm.name) }, resolver.problems);
    return parentVm === undefined ? undefined : { kind: 'module', vm: requested.vm, parentVm, parent: submitted };
  }
  const newest = own(resolver.catalog.newest, requested.module);
  const finished = newest === undefined ? undefined : own(resolver.catalog.layers, newest);
  const record = finished ?? own(resolver.catalog.unfinished, requested.module);
  if (!record) {
    reportUnknown(module, { ...requested, isGone: newest !== undefined }, resolver);
    return undefined;
  }
  return linkToLayer(module, requested, { record, problems: resolver.problems });
}

/** An existing version, independent of this build: by its number, or by the tag that it has now. */
function resolveImage(
  module: CompiledModule,
  requested: RequestedParent & { readonly image: string },
  { catalog, unknownParents, problems }: Resolver,
): ParentLink | undefined {
  const record = own(catalog.layers, own(catalog.images, requested.image) ?? '');
  if (record) return linkToLayer(module, requested, { record, problems });
  const pins = Object.keys(catalog.images)
    .filter((pin) => /^[^:@]+/.exec(pin)?.[0] === requested.module)
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const there = pins.length === 0 ? '' : `: there ${pins.length === 1 ? 'is' : 'are'} ${listed(pins)}`;
  const message = `VM "${requested.vm}" starts from ${requested.image}, which ${unknownParents === 'error' ? 'does not exist' : 'only a farm can look up'}${there}`;
  problems.push(problemOf(module, { code: 'UnknownModule', message, part: sourceOf(requested.vm) }, unknownParents));
  return undefined;
}

const sourceOf = (vm: string) => partPath('vms', vm, 'source');

function listed(pins: readonly string[]): string {
  const more = pins.length > MAX_SUGGESTIONS ? ` and ${pins.length - MAX_SUGGESTIONS} more` : '';
  return `${pins.slice(-MAX_SUGGESTIONS).join(', ')}${more}`;
}

function linkToLayer(
  module: CompiledModule,
  requested: RequestedParent,
  { record, problems }: { readonly record: OfferedLayer; readonly problems: Problem[] },
): ParentLink | undefined {
  const parentVm = chooseVm(module, { ...requested, vms: record.vms.map((vm) => vm.vm) }, problems);
  return parentVm === undefined ? undefined : { kind: 'layer', vm: requested.vm, parentVm, parent: record };
}

/** `vmName` may be left out only where the parent has a single VM. */
function chooseVm(
  module: CompiledModule,
  { vm, module: name, parentVm, vms }: RequestedParent & { readonly vms: readonly string[] },
  problems: Problem[],
): string | undefined {
  const [first, second] = vms;
  if (parentVm === null && first !== undefined && second === undefined) return first;
  if (parentVm !== null && vms.includes(parentVm)) return parentVm;
  const message =
    parentVm === null
      ? `VM "${vm}" starts from "${name}", which has several VMs: name one of ${vms.join(', ')} in buildRef.vmName`
      : `VM "${vm}" starts from VM "${parentVm}" of "${name}", which has no such VM${didYouMean(parentVm, vms)}`;
  problems.push(problemOf(module, { code: 'UnknownVm', message, part: sourceOf(vm) }));
  return undefined;
}

function reportUnknown(
  module: CompiledModule,
  { vm, module: name, isGone }: RequestedParent & { readonly isGone: boolean },
  resolver: Resolver,
): void {
  const isError = resolver.unknownParents === 'error';
  let message = `VM "${vm}" starts from module "${name}", which is not among the modules given`;
  if (isGone)
    message = `VM "${vm}" starts from module "${name}", whose snapshots are no longer on any cluster: build it again`;
  else if (isError) message += ' and was never built';
  if (!isGone && resolver.suggestions++ < MAX_SUGGESTIONS) {
    message += didYouMean(name, [...resolver.unique.keys(), ...Object.keys(resolver.catalog.newest)]);
  }
  const problem = { code: 'UnknownModule', message, part: sourceOf(vm) } as const;
  resolver.problems.push(problemOf(module, problem, isError ? 'error' : 'warning'));
}
