import { beside, type LocalLookup } from '../local-files.ts';
import type { CompiledModule } from './compiled.ts';
import type { Cursor } from './cursor.ts';
import { DEFAULTS } from './defaults.ts';
import { ModuleDraft } from './draft.ts';
import { valueOrNull, withoutPasswords } from './parsed.ts';
import { hasErrors, type Problem, sortProblems } from './problem.ts';
import { parseBytes } from './quantity.ts';
import { namesOf, type Rule, reportUnknown } from './rule.ts';
import { cloudInitRule } from './rules-cloud-init.ts';
import { fileRules } from './rules-files.ts';
import { localFileRule, localUses } from './rules-local.ts';
import { networkRules } from './rules-network.ts';
import { bootCommandRule, dependsOnRule, vmRules } from './rules-vm.ts';
import { didYouMean } from './suggest.ts';
import { readDocuments, type SourceFile } from './yaml-source.ts';

export interface ParseOptions {
  /** Values for declared variables. Default: none. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Whether what a boot command would only type literally is an error. Default: false. */
  readonly strict?: boolean;
  /** What lies beside the files. Default: nothing does. */
  readonly local?: LocalLookup;
}

/** Modules without errors, in the order of the files, and every problem of all files at once, sorted by place. */
export interface ParseResult {
  readonly modules: readonly CompiledModule[];
  readonly problems: readonly Problem[];
}

/**
 * Reads and compiles every module in the files. Takes text and touches nothing else; never throws for what a person
 * wrote. Cycles between modules and references to modules that are not among the files are the graph's business.
 */
export function parseModules(files: readonly SourceFile[], options: ParseOptions = {}): ParseResult {
  const { variables = {}, strict = false, local = () => undefined } = options;
  const { syntax, drafts } = readDrafts(files, variables);
  const rules: readonly Rule[] = [
    deprecatedRule,
    vmRules,
    dependsOnRule,
    bootCommandRule(strict),
    fileRules,
    networkRules,
    cloudInitRule,
    foldedRule,
  ];
  for (const draft of drafts) {
    for (const rule of [...rules, localFileRule(draft.file, local)]) rule(draft.body, draft.report, draft.isFolded);
  }
  reportRepeatedModules(drafts);
  const byName = new Map(drafts.map((draft) => [draft.name.text, draft]));
  for (const draft of drafts) checkParents(draft, byName);
  const problems = [...syntax, ...drafts.flatMap((draft) => draft.problems)];
  if (!hasErrors(syntax)) problems.push(...unknownVariables(variables, drafts));
  return {
    modules: drafts.flatMap((draft) => draft.compile(local) ?? []),
    problems: sortProblems(
      problems.map((problem) => ({ ...problem, message: withoutPasswords(problem.message) })),
      files.map((file) => file.path),
    ),
  };
}

/** Names of the variables that modules of these files declare. */
export function declaredVariables(files: readonly SourceFile[]): ReadonlySet<string> {
  return new Set(readDrafts(files, {}).drafts.flatMap((draft) => draft.declaredVariables));
}

/** Where the paths lie that modules in the files name, in the name space of the paths of the files; each once. */
export function localPaths(
  files: readonly SourceFile[],
  variables: Readonly<Record<string, string>>,
): LocalReference[] {
  const references = readDrafts(files, variables).drafts.flatMap(({ file, body }) =>
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

function readDrafts(files: readonly SourceFile[], variables: Readonly<Record<string, string>>) {
  const sources = files.map(readDocuments);
  return {
    syntax: sources.flatMap((source) => source.problems),
    drafts: sources.flatMap((source) => source.documents).map((document) => new ModuleDraft(document, variables)),
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
    report(text, 'Doubtful', '">" makes one line of the lines below it: write "|" to keep them', 'warning');
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
function checkParents(draft: ModuleDraft, byName: ReadonlyMap<string | null, ModuleDraft>): void {
  for (const vm of draft.body.list('vms')) {
    const reference = vm.at('source', 'buildRef');
    const name = reference.at('name').text;
    const parent = name === null ? undefined : byName.get(name);
    if (!parent || parent === draft) continue;
    const vms = parent.body.list('vms');
    const vmName = reference.at('vmName');
    reportUnknown(vmName, { what: `VM of the module "${name}"`, names: namesOf(vms) }, draft.report);
    if (!vmName.isPresent && vms.length > 1) {
      const message = `the module "${name}" has several VMs: name one with vmName (${namesOf(vms).join(', ')})`;
      draft.report(reference, 'MissingField', message);
    }
    const parentVm = vmName.isPresent ? parent.body.named('vms', vmName.text) : vms[0];
    if (parentVm) reportShrunkDisks(vm, parentVm, draft);
  }
}

function reportShrunkDisks(vm: Cursor, parentVm: Cursor, draft: ModuleDraft): void {
  const listed = parentVm
    .list('disks')
    .map((disk) => [disk.at('name').text, valueOrNull(parseBytes(disk.at('size').value))] as const);
  const isDefaulted = listed.length === 0 && !parentVm.at('source', 'buildRef').isPresent;
  const parentSizes = new Map(isDefaulted ? [[DEFAULTS.disk.name, DEFAULTS.disk.sizeBytes]] : listed);
  for (const disk of vm.list('disks')) {
    const least = parentSizes.get(disk.at('name').text ?? '');
    const size = valueOrNull(parseBytes(disk.at('size').value));
    if (!least || size === null || size >= least) continue;
    const message = `"${disk.at('size').value}" is smaller than the parent's disk of that name (${least} bytes): disks only grow`;
    draft.report(disk.at('size'), 'InvalidValue', message);
  }
}

function unknownVariables(given: Readonly<Record<string, string>>, drafts: readonly ModuleDraft[]): Problem[] {
  const declared = [...new Set(drafts.flatMap((draft) => draft.declaredVariables))];
  return Object.keys(given)
    .filter((name) => !declared.includes(name))
    .map((name) => ({
      file: '--var',
      line: 1,
      column: 1,
      severity: 'error',
      code: 'UnknownVariable',
      message: `no module declares the variable "${name}"${didYouMean(name, declared)}`,
    }));
}
