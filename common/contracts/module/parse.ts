import { beside, type LocalLookup } from '../local-files.ts';
import type { CompiledModule } from './compiled.ts';
import type { Cursor } from './cursor.ts';
import { DEFAULTS } from './defaults.ts';
import { type DraftOptions, ModuleDraft } from './draft.ts';
import { valueOrNull } from './parsed.ts';
import type { ModuleProblem } from './problem.ts';
import { ProblemList } from './problem-list.ts';
import { readDocuments } from './read-yaml.ts';
import { type Report, type Rule, reportUnknown } from './rule.ts';
import { characterRule } from './rules-characters.ts';
import { cloudInitRule } from './rules-cloud-init.ts';
import { fileRules } from './rules-files.ts';
import { localFileRule, localUses } from './rules-local.ts';
import { networkRules } from './rules-network.ts';
import { scriptRule } from './rules-scripts.ts';
import { bootCommandRule, dependsOnRule, vmRules } from './rules-vm.ts';
import { parseBytes } from './sizes.ts';
import { didYouMean } from './suggest.ts';
import { OWN_MODULES, YamlBudget } from './yaml-limits.ts';
import type { SourceFile } from './yaml-source.ts';

export interface ParseOptions {
  /** Values for declared variables. Default: none. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Whether an unknown key in a boot command, which is typed literally, is an error. Default: false. */
  readonly strict?: boolean;
  /** Local files beside the module files. Default: none. */
  readonly local?: LocalLookup;
  /** How many modules the files may have; see `requestLimits`. @defaultValue `USUAL_MODULES` */
  readonly mostModules?: number;
}

/**
 * Modules without errors, in the order of the files, and the problems of all files at once, sorted by place; of many the
 * last one counts the rest.
 */
export interface ParseResult {
  readonly modules: readonly CompiledModule[];
  readonly problems: readonly ModuleProblem[];
}

/**
 * Reads and compiles every module in the files. Takes text and does no I/O; never throws for text that a person
 * wrote, and takes time in proportion to it. Cycles between modules and references to modules that are not among the files are the graph's business.
 */
export function parseModules(files: readonly SourceFile[], options: ParseOptions = {}): ParseResult {
  const { variables = {}, strict = false, local = () => undefined, mostModules } = options;
  const problems = new ProblemList();
  const budget = new YamlBudget(mostModules);
  const { drafts, isSound } = readDrafts(files, { variables, problems, budget });
  const rules: readonly Rule[] = [
    deprecatedRule,
    vmRules,
    dependsOnRule,
    bootCommandRule(strict),
    fileRules,
    networkRules,
    cloudInitRule(budget),
    foldedRule,
    characterRule,
    scriptRule,
  ];
  for (const draft of drafts) {
    for (const rule of [...rules, localFileRule(draft.file, local)]) rule(draft.body, draft.report, draft.isFolded);
  }
  reportRepeatedModules(drafts);
  checkParents(drafts);
  if (isSound) reportUnknownVariables(variables, drafts, problems);
  return {
    modules: drafts.flatMap((draft) => draft.compile(local) ?? []),
    problems: problems.sorted(files.map((file) => file.path)),
  };
}

/** Names of the variables that modules of these files declare. */
export function declaredVariables(files: readonly SourceFile[]): ReadonlySet<string> {
  return new Set(readDrafts(files).drafts.flatMap((draft) => draft.declaredVariables));
}

/** Where the paths lie that modules in the files name, in the name space of the paths of the files; each once. */
export function localPaths(
  files: readonly SourceFile[],
  variables: Readonly<Record<string, string>>,
): LocalReference[] {
  const references = readDrafts(files, { variables }).drafts.flatMap(({ file, body }) =>
    localUses(body).flatMap(({ at: { text } }) => {
      return text === null ? [] : [{ path: beside(file, text), moduleFile: file, written: text }];
    }),
  );
  return [...new Map(references.map((reference) => [reference.path, reference])).values()];
}

/** A path that a module names. */
export interface LocalReference {
  readonly path: string;
  readonly moduleFile: string;
  readonly written: string;
}

function readDrafts(
  files: readonly SourceFile[],
  { variables = {}, problems = new ProblemList(), budget = new YamlBudget(OWN_MODULES) }: Partial<DraftOptions> = {},
): { readonly drafts: readonly ModuleDraft[]; readonly isSound: boolean } {
  const sources = files.map((file) => readDocuments(file, budget));
  const broken = sources.flatMap((source) => source.problems);
  for (const describe of broken) problems.add('error', describe);
  const documents = sources.flatMap((source) => source.documents);
  return {
    drafts: documents.map((document) => new ModuleDraft(document, { variables, problems, budget })),
    isSound: broken.length === 0,
  };
}

const deprecatedRule: Rule = (body, report) => {
  if (!body.at('output').isPresent) return;
  report(body.at('output'), 'Deprecated', 'has no effect: every disk is captured; remove the key', 'warning');
};

/** Texts whose lines mean something. */
const foldedRule: Rule = (body, report, isFolded) => {
  const texts = body
    .list('vms')
    .flatMap((vm) => [
      vm.at('cloudInit', 'userData'),
      vm.at('cloudInit', 'networkData'),
      ...vm.list('provisioners').map((step) => step.at('shell', 'inline')),
    ]);
  for (const text of [...texts, ...body.list('files').map((file) => file.at('inline'))].filter(isFolded)) {
    report(text, 'Doubtful', 'its lines are folded into one: write them below a "|" to keep them', 'warning');
  }
};

function reportRepeatedModules(drafts: readonly ModuleDraft[]): void {
  const seen = new Set<string>();
  for (const { name, report } of drafts) {
    if (name.text === null) continue;
    if (seen.has(name.text)) report(name, 'DuplicateName', `another module is named "${name.text}" already`);
    seen.add(name.text);
  }
}

/** A parent among the files can be looked into: its VM must exist, and disks may only grow. */
function checkParents(drafts: readonly ModuleDraft[]): void {
  const byName = new Map(drafts.map((draft) => [draft.name.text, draft]));
  const offers = new Map<ModuleDraft, ParentOffer>();
  for (const draft of drafts) {
    for (const vm of draft.body.list('vms')) {
      const reference = vm.at('source', 'buildRef');
      const name = reference.at('name').text;
      const parent = name === null ? undefined : byName.get(name);
      // A version that is there already need not be like the module beside it.
      const isPinned = reference.at('version').isPresent || reference.at('tag').isPresent;
      if (!parent || parent === draft || isPinned) continue;
      const offer = offers.get(parent) ?? offerOf(parent);
      offers.set(parent, offer);
      checkParent(vm, offer, draft);
    }
  }
}

/** Disks that other modules can start from. */
interface ParentOffer {
  readonly module: string;
  /** Its VMs by name, and the sizes of their disks by name. */
  readonly vms: ReadonlyMap<string, ReadonlyMap<string | null, number | null>>;
  readonly isSingle: boolean;
}

function offerOf(parent: ModuleDraft): ParentOffer {
  const vms = parent.body.list('vms');
  const sizes = new Map<string, ReadonlyMap<string | null, number | null>>();
  for (const vm of vms) {
    const name = vm.at('name').text;
    if (name !== null && !sizes.has(name)) sizes.set(name, sizesOf(vm));
  }
  return { module: parent.name.text ?? '', vms: sizes, isSingle: vms.length <= 1 };
}

function sizesOf(vm: Cursor): ReadonlyMap<string | null, number | null> {
  const disks = vm.list('disks');
  const isDefaulted = disks.length === 0 && !vm.at('source', 'buildRef').isPresent;
  if (isDefaulted) return new Map([[DEFAULTS.disk.name, DEFAULTS.disk.sizeBytes]]);
  return new Map(disks.map((disk) => [disk.at('name').text, valueOrNull(parseBytes(disk.at('size').value))]));
}

function checkParent(vm: Cursor, { module, vms, isSingle }: ParentOffer, { report }: ModuleDraft): void {
  const reference = vm.at('source', 'buildRef');
  const vmName = reference.at('vmName');
  const names = new Set(vms.keys());
  reportUnknown(vmName, { what: `VM of the module "${module}"`, names }, report);
  if (!vmName.isPresent && !isSingle) {
    const message = () => `the module "${module}" has several VMs: name one with vmName (${[...names].join(', ')})`;
    report(reference, 'MissingField', message);
  }
  const [first] = names;
  const sizes = vms.get(vmName.isPresent ? (vmName.text ?? '') : (first ?? ''));
  if (sizes) reportShrunkDisks(vm, sizes, report);
}

function reportShrunkDisks(vm: Cursor, sizes: ReadonlyMap<string | null, number | null>, report: Report): void {
  for (const disk of vm.list('disks')) {
    const least = sizes.get(disk.at('name').text ?? '');
    const size = valueOrNull(parseBytes(disk.at('size').value));
    if (!least || size === null || size >= least) continue;
    const message = `"${disk.at('size').value}" is smaller than the parent's disk of that name (${least} bytes): disks only grow`;
    report(disk.at('size'), 'InvalidValue', message);
  }
}

function reportUnknownVariables(
  given: Readonly<Record<string, string>>,
  drafts: readonly ModuleDraft[],
  problems: ProblemList,
): void {
  const declared = new Set(drafts.flatMap((draft) => draft.declaredVariables));
  for (const name of Object.keys(given).filter((known) => !declared.has(known))) {
    problems.add('error', () => ({
      file: '--var',
      line: 1,
      column: 1,
      severity: 'error',
      code: 'UnknownVariable',
      message: `no module declares the variable "${name}"${didYouMean(name, [...declared])}`,
    }));
  }
}
