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
import { hasErrors, type Problem, type ProblemCode } from './problem.ts';
import type { Report } from './rule.ts';
import { bodySchema, DOCUMENT_SCHEMAS, type ModuleBody } from './schema.ts';
import { secretNames, writtenReference, writtenText } from './secret-text.ts';
import { isSecretPlace, secretUses } from './secret-uses.ts';
import { substituteVariables } from './variables.ts';
import type { Path, SourceDocument } from './yaml-source.ts';

const PLACES =
  'scripts, their env and executeCommand, inline files, boot commands, cloudInit, sshPassword, passwords in URLs, and what reboots or shuts down';

type DocumentForm = keyof typeof DOCUMENT_SCHEMAS;

/** A document on its way to a module: read, its problems collected, not compiled yet. */
export class ModuleDraft {
  readonly problems: Problem[] = [];
  readonly declaredVariables: readonly string[] = [];
  readonly name: Cursor = new Cursor(undefined);
  /** May be misshapen; then `problems` say so. */
  readonly body: Cursor = new Cursor(undefined);
  readonly #source: SourceDocument;
  readonly #form: DocumentForm | null;
  readonly #secrets: readonly SecretUse[] = [];
  readonly #labels: Cursor = new Cursor(undefined);

  constructor(source: SourceDocument, variables: Readonly<Record<string, string>>) {
    this.#source = source;
    this.problems.push(...source.problems);
    const form = this.#recognize();
    this.#form = form;
    if (!form) return;
    const bodyPath = form === 'bare' ? [] : ['spec'];
    const substitution = substituteVariables(source, bodyPath, variables);
    this.problems.push(...substitution.problems);
    this.declaredVariables = substitution.declared;
    const root = this.#read();
    if (!root) return;
    this.#secrets = this.#readSecrets(root, bodyPath);
    this.#checkShape(root, DOCUMENT_SCHEMAS[form]);
    const metadata = form === 'bare' ? root : root.at('metadata');
    this.name = metadata.at('name');
    this.#labels = metadata.at('labels');
    this.body = root.at(...bodyPath);
  }

  get report(): Report {
    return (at, code, message, severity = 'error', within) => {
      if (this.#isUnfilled(at)) return;
      const place = within ? this.#source.locateWithin(at.path, within) : this.#source.locate(at.path);
      this.#report({ ...place, severity, code, message: this.#withPath(at.path, message) });
    };
  }

  readonly isFolded = (at: Cursor): boolean => this.#source.isFolded(at.path);

  /** The file that it stands in. */
  get file(): string {
    return this.#source.file;
  }

  /** The module, unless something is wrong with it. */
  compile(lookup: LocalLookup): CompiledModule | null {
    const body = hasErrors(this.problems) ? null : bodySchema.safeParse(this.#bodyAlone());
    if (!body?.success) return null;
    const identity = {
      name: this.name.text ?? '',
      labels: { ...(this.#labels.value as Record<string, string> | undefined) },
      origin: this.#source.locate([]),
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
      const message = this.#withPath(
        path,
        `${writtenReference(use.name)} cannot stand here: secrets can stand in ${PLACES}`,
      );
      const { file, line, column } = use;
      this.#report({ file, line, column, severity: 'error', code: 'MisplacedSecret', message });
    }
    return uses.map(({ use }) => use);
  }

  /** In the bare form the name stands among the body's keys. */
  #bodyAlone(): unknown {
    if (this.body.path.length > 0) return this.body.value;
    const { name: _name, labels: _labels, ...body } = this.body.value as Record<string, unknown>;
    return body;
  }

  #report({ message: found, ...place }: Problem): void {
    const problem = { ...place, message: writtenText(found) };
    const isKnown = this.problems.some(
      ({ line, column, message }) => line === problem.line && column === problem.column && message === problem.message,
    );
    if (!isKnown) this.problems.push(problem);
  }

  /** A reference that has been reported already; what else is wrong with it cannot be known. */
  #isUnfilled(at: Cursor): boolean {
    const text = at.text ?? '';
    const isReported = (...codes: ProblemCode[]) => this.problems.some(({ code }) => codes.includes(code));
    if (text.includes('${var.')) return isReported('MissingVariable', 'UnknownVariable');
    return secretNames(text).length > 0 && isReported('MisplacedSecret');
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
      return new Cursor(this.#source.document.toJS());
    } catch (error) {
      this.report(new Cursor(null), 'Syntax', `an alias cannot be resolved: ${errorMessage(error)}`);
      return null;
    }
  }

  #checkShape(root: Cursor, schema: z.ZodType): void {
    for (const issue of schema.safeParse(root.value).error?.issues ?? []) {
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
  }

  #reportKey(path: Path, message: string, code: ProblemCode = 'UnknownKey'): void {
    const position = this.#source.locateKey(path);
    this.#report({ ...position, severity: 'error', code, message: this.#withPath(path.slice(0, -1), message) });
  }
}
