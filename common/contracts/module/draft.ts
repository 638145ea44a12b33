import { isMap } from 'yaml';
import type { z } from 'zod';
import { errorMessage } from '../../errors/farm-error.ts';
import type { LocalLookup } from '../local-files.ts';
import { compileModule } from './compile.ts';
import type { CompiledModule, SecretUse } from './compiled.ts';
import { Cursor, formatPath } from './cursor.ts';
import { LocalFinder } from './local-content.ts';
import { unsupportedFields } from './not-yet-supported.ts';
import { quoted } from './parsed.ts';
import { placesOf } from './places.ts';
import type { ModuleProblem, ProblemCode, Severity } from './problem.ts';
import type { ProblemList } from './problem-list.ts';
import type { Report } from './rule.ts';
import { bodySchema, DOCUMENT_SCHEMAS, type ModuleBody } from './schema.ts';
import { secretNames, writtenReference, writtenText } from './secret-text.ts';
import { isSecretPlace, secretUses } from './secret-uses.ts';
import { substituteVariables, type VariableProblem } from './variables.ts';
import { TEXT_LIMITS, type YamlBudget } from './yaml-limits.ts';
import type { Path } from './yaml-nodes.ts';
import { repeatedKey } from './yaml-nodes.ts';
import type { SourceDocument } from './yaml-source.ts';

const PLACES =
  'scripts, their env and executeCommand, inline files, boot commands, cloudInit, sshPassword, passwords in URLs, and what reboots or shuts down';

/** Code of an unresolved reference; `InvalidValue` is also that of a declaration. */
const UNFILLED: readonly ProblemCode[] = ['MissingVariable', 'UnknownVariable', 'InvalidValue'];

/** A problem without the fields that the report adds. */
type Described = Pick<ModuleProblem, 'file' | 'line' | 'column' | 'message'> & Partial<Pick<ModuleProblem, 'code'>>;

type DocumentForm = keyof typeof DOCUMENT_SCHEMAS;

/** Input of a draft. */
export interface DraftOptions {
  readonly variables: Readonly<Record<string, string>>;
  readonly problems: ProblemList;
  readonly budget: YamlBudget;
}

/** A document on its way to a module: read, its problems collected, not compiled yet. */
export class ModuleDraft {
  readonly declaredVariables: readonly string[] = [];
  readonly name: Cursor = new Cursor(undefined);
  /** May be malformed; the problems then report it. */
  readonly body: Cursor = new Cursor(undefined);
  readonly #source: SourceDocument;
  readonly #problems: ProblemList;
  readonly #budget: YamlBudget;
  /** Counts of reported problems. */
  readonly #codes = new Set<ProblemCode>();
  #hasErrors = false;
  readonly #form: DocumentForm | null;
  readonly #secrets: readonly SecretUse[] = [];
  readonly #labels: Cursor = new Cursor(undefined);

  constructor(source: SourceDocument, { variables, problems, budget }: DraftOptions) {
    this.#source = source;
    this.#problems = problems;
    this.#budget = budget;
    for (const error of source.errors) this.#report('error', 'Syntax', () => source.problemOf(error));
    for (const alias of source.danglingAliases()) {
      const message = `unknown anchor "${alias.source}": a text that begins with "*" must be in quotes`;
      this.#report('error', 'Syntax', () => ({ ...source.positionWithin(alias, ''), message }));
    }
    for (const node of source.droppedMarks()) {
      const message = 'a text that begins with "!" must be in quotes: YAML removes the mark';
      this.#report('error', 'Syntax', () => ({ ...source.positionWithin(node, ''), message }));
    }
    for (const key of source.repeatedKeys()) {
      const place = () => source.positionWithin(key, '');
      this.#report('error', 'DuplicateKey', () => ({ ...place(), message: repeatedKey(key) }));
    }
    const form = this.#recognize();
    this.#form = form;
    if (!form) return;
    const bodyPath = form === 'bare' ? [] : ['spec'];
    const report = ({ code, describe }: VariableProblem) => this.#report('error', code, describe);
    this.declaredVariables = substituteVariables(source, { bodyPath, given: variables, budget, report });
    const root = this.#codes.has('Syntax') ? null : this.#read();
    if (!root) return;
    this.#secrets = this.#readSecrets(root, bodyPath);
    const isOversized = this.#checkShape(root, DOCUMENT_SCHEMAS[form]);
    const metadata = form === 'bare' ? root : root.at('metadata');
    this.name = metadata.at('name');
    this.#labels = metadata.at('labels');
    // A document that is refused for its size is not checked further.
    if (!isOversized) this.body = root.at(...bodyPath);
  }

  readonly report: Report = (at, code, message, severity = 'error', within) => {
    if (this.#isUnfilled(at)) return;
    this.#report(severity, code, () => {
      const place = within ? this.#source.locateWithin(at.path, within) : this.#source.locate(at.path);
      return { ...place, message: this.#withPath(at.path, typeof message === 'string' ? message : message()) };
    });
  };

  readonly isFolded = (at: Cursor): boolean => this.#source.isFolded(at.path);

  /** The file that it is in. */
  get file(): string {
    return this.#source.file;
  }

  /** The module, unless something is wrong with it. */
  compile(lookup: LocalLookup): CompiledModule | null {
    const body = this.#hasErrors ? null : bodySchema.safeParse(this.#bodyAlone());
    if (!body?.success) return null;
    const identity = {
      name: this.name.text ?? '',
      labels: { ...(this.#labels.value as Record<string, string> | undefined) },
      origin: this.#source.locate([]),
      places: placesOf(this.#source, this.body),
      secrets: this.#secrets,
      notYetSupported: unsupportedFields(this.#source, this.body),
    };
    return compileModule(body.data satisfies ModuleBody, identity, {
      isManifest: this.#form === 'virtualMachineBuild',
      local: new LocalFinder(this.file, lookup),
    });
  }

  #readSecrets(root: Cursor, bodyPath: Path): SecretUse[] {
    const uses = secretUses(this.#source, root, bodyPath);
    for (const { use, path } of uses.filter((found) => !isSecretPlace(found.path, bodyPath))) {
      this.#report('error', 'MisplacedSecret', () => {
        const { file, line, column, name } = use;
        const message = `${writtenReference(name)} is not allowed here: secrets are allowed in ${PLACES}`;
        return { file, line, column, message: this.#withPath(path, message) };
      });
    }
    const excess = uses[TEXT_LIMITS.secrets];
    if (excess) {
      const message = `a module may refer to secrets ${TEXT_LIMITS.secrets} times`;
      this.#report('error', 'TooLarge', () => ({ ...excess.use, message: this.#withPath(excess.path, message) }));
    }
    return uses.map(({ use }) => use);
  }

  /** In the bare form the name is one of the body's keys. */
  #bodyAlone(): unknown {
    if (this.body.path.length > 0) return this.body.value;
    const { name: _name, labels: _labels, ...body } = this.body.value as Record<string, unknown>;
    return body;
  }

  #report(severity: Severity, code: ProblemCode, describe: () => Described): void {
    this.#codes.add(code);
    this.#hasErrors ||= severity === 'error';
    this.#problems.add(severity, () => {
      const found = describe();
      const { file, line, column } = found;
      return { file, line, column, severity, code: found.code ?? code, message: writtenText(found.message) };
    });
  }

  /** A reference that has been reported already; further problems of it are unknown. */
  #isUnfilled(at: Cursor): boolean {
    const text = at.text ?? '';
    if (text.includes('${var.')) return UNFILLED.some((code) => this.#codes.has(code));
    return this.#codes.has('MisplacedSecret') && secretNames(text).length > 0;
  }

  #withPath(path: Path, message: string): string {
    const inBody = path[0] === 'spec' && path.length > 1 ? path.slice(1) : path;
    return inBody.length > 0 ? `${formatPath(inBody)}: ${message}` : message;
  }

  #recognize(): DocumentForm | null {
    const { contents } = this.#source.document;
    if (!isMap(contents)) {
      this.report(new Cursor(null), 'UnknownKind', 'a module must be a map of keys and values');
      return null;
    }
    const [apiVersion, kind]: unknown[] = [contents.get('apiVersion'), contents.get('kind')];
    if (apiVersion === undefined && kind === undefined) return 'bare';
    if (apiVersion === 'slipway.dev/v1' || kind === 'Module') return 'module';
    if (apiVersion === 'ruddervirt.io/v1alpha1' || kind === 'VirtualMachineBuild') return 'virtualMachineBuild';
    const written = `apiVersion ${quoted(apiVersion ?? '')} and kind ${quoted(kind ?? '')} are not those of a module`;
    const message = `${written}: write "slipway.dev/v1" and "Module"`;
    this.report(new Cursor(null, [kind === undefined ? 'apiVersion' : 'kind']), 'UnknownKind', message);
    return null;
  }

  #read(): Cursor | null {
    try {
      const value: unknown = this.#source.document.toJS();
      if (this.#budget.takeValues(value)) return new Cursor(value);
      const message = `the aliases of a request may repeat ${this.#budget.limits.values} values: write less, or several requests`;
      this.report(new Cursor(null), 'TooLarge', message);
      return null;
    } catch (error) {
      this.report(new Cursor(null), 'Syntax', `an alias cannot be resolved: ${errorMessage(error)}`);
      return null;
    }
  }

  /** Whether something has too many items. */
  #checkShape(root: Cursor, schema: z.ZodType): boolean {
    const issues = schema.safeParse(root.value).error?.issues ?? [];
    for (const issue of issues) {
      const path = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
      if (issue.code === 'unrecognized_keys') {
        const messages = issue.message.split('\n');
        for (const [index, key] of issue.keys.entries()) this.#reportKey([...path, key], messages[index] ?? '');
      } else if (issue.code === 'invalid_key') {
        this.#reportKey(path, `${quoted(path.at(-1))} ${issue.message}`, 'InvalidValue');
      } else {
        const isMissing = root.at(...path).value === undefined;
        this.report(root.at(...path), isMissing ? 'MissingField' : 'InvalidValue', issue.message);
      }
    }
    return issues.some(({ code }) => code === 'too_big');
  }

  #reportKey(path: Path, message: string, code: ProblemCode = 'UnknownKey'): void {
    this.#report('error', code, () => {
      return { ...this.#source.locateKey(path), message: this.#withPath(path.slice(0, -1), message) };
    });
  }
}
