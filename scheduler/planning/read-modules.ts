import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { submissionSchema } from '../../common/contracts/api/submission.ts';
import { type LocalEntry, lookupIn } from '../../common/contracts/local-files.ts';
import type { CompiledModule, SecretUse } from '../../common/contracts/module/compiled.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { hasErrors } from '../../common/contracts/module/problem.ts';
import { USUAL_MODULES } from '../../common/contracts/module/yaml-limits.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type UnresolvedContents, unresolvedContents } from '../graph/facts.ts';
import { selectModules } from '../graph/select-modules.ts';

/** URLs, images, files and keys that the farm asks for on behalf of one request. */
const MAX_UNRESOLVED = 5_000;
const MAX_SECRET_USES = 20_000;

/** A request to plan or build modules, as it came. */
export interface SentModules {
  /** UTF-8. */
  readonly body: Uint8Array;
  readonly isJson: boolean;
  readonly noCache: boolean;
  /** Names of modules, separated by commas. */
  readonly rebuild: string;
  /** As `rebuild`: these and their ancestors; other modules are not built. Empty: all of them. */
  readonly only: string;
  readonly strict: boolean;
  /** Their sources become images as they are; no machine is started. */
  readonly isImport?: true;
}

/** Modules that were read. Only planning threads look inside: to copy the bytes costs the scheduler little. */
export type PackedModules = Uint8Array;

/** Its content. */
export interface ReadRequest {
  readonly modules: readonly CompiledModule[];
  /** Local files beside the modules. */
  readonly localFiles: readonly LocalEntry[];
  readonly noCache: boolean;
  readonly rebuild: readonly string[];
}

/** Modules, and the contents to resolve before they can be planned. */
export interface ReadModules {
  readonly modules: PackedModules;
  readonly unresolved: UnresolvedContents;
  readonly secrets: readonly SecretUse[];
  /** Names of the modules that they start from, their own among them. */
  readonly parents: ReadonlySet<string>;
  /** SHA-256 of the request: the same request has the same one. */
  readonly digest: string;
}

/** Reads a request: modules as YAML or JSON documents, or `{files, variables}`. @throws InvalidRequest, InvalidModule, RequestTooLarge */
export function readModules(sent: SentModules, mostModules = USUAL_MODULES): ReadModules {
  const { noCache, strict } = sent;
  const rebuild = namesIn(sent.rebuild);
  const { files, variables, localFiles } = readSubmission(sent);
  const parsed = parseModules(files, { variables, strict, local: lookupIn(localFiles), mostModules });
  const problems = parsed.problems;
  if (hasErrors(problems)) {
    const [first] = problems.filter((problem) => problem.severity === 'error');
    const sentence = `${first?.file}:${first?.line}:${first?.column}: ${first?.message}`;
    throw new FarmError('InvalidModule', sentence, { details: { problems } });
  }
  if (parsed.modules.length === 0) throw new FarmError('InvalidModule', 'The request contains no module.');
  const selected = selectModules(parsed.modules, namesIn(sent.only));
  const modules = sent.isImport ? selected.map((module) => ({ ...module, imported: true as const })) : selected;
  const unresolved = unresolvedContents(modules);
  const secrets = modules.flatMap((module) => module.secrets);
  refuseTooMany(unresolved, secrets);
  return {
    modules: serialize({ modules, localFiles, noCache, rebuild } satisfies ReadRequest),
    unresolved,
    secrets,
    parents: parentNames(modules),
    digest: digestOf(sent),
  };
}

/** Modules that the farm itself made, as if they had been read. */
export function packModules(modules: readonly CompiledModule[]): ReadModules {
  return {
    modules: serialize({ modules, localFiles: [], noCache: false, rebuild: [] } satisfies ReadRequest),
    unresolved: unresolvedContents(modules),
    secrets: modules.flatMap((module) => module.secrets),
    parents: parentNames(modules),
    digest: '',
  };
}

export function unpackModules(packed: PackedModules): ReadRequest {
  return deserialize(packed) as ReadRequest;
}

function readSubmission({ body, isJson }: SentModules) {
  const text = new TextDecoder().decode(body);
  if (text.trim() === '')
    throw new FarmError('InvalidRequest', 'The request has no body: send modules as YAML or JSON.');
  if (isJson) {
    const json = requireJson(text);
    if (typeof json === 'object' && json !== null && 'files' in json && Array.isArray(json.files)) {
      return submissionSchema.parse(json);
    }
  }
  const path = isJson ? 'request.json' : 'request.yaml';
  return { files: [{ path, text }], variables: {}, localFiles: [] };
}

function namesIn(list: string): string[] {
  return list.split(',').filter((name) => name !== '');
}

function requireJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FarmError('InvalidRequest', `The body is not JSON: ${errorMessage(error)}.`, { cause: error });
  }
}

/** Limits how many contents one request can make the farm resolve. */
function refuseTooMany({ sources, images, files, objects }: UnresolvedContents, secrets: readonly SecretUse[]): void {
  const asked = sources.length + images.length + files.length + objects.length;
  if (asked > MAX_UNRESOLVED) {
    const message = `The modules name ${asked} URLs, images and keys whose content the farm has to look up; the limit of one request is ${MAX_UNRESOLVED}.`;
    const solve = 'Give sources their checksums, or send the modules in several requests.';
    throw new FarmError('RequestTooLarge', message, { details: { solve } });
  }
  if (secrets.length > MAX_SECRET_USES) {
    const message = `The modules refer to secrets ${secrets.length} times; the limit of one request is ${MAX_SECRET_USES}.`;
    throw new FarmError('RequestTooLarge', message, { details: { solve: 'Send the modules in several requests.' } });
  }
}

function parentNames(modules: readonly CompiledModule[]): ReadonlySet<string> {
  const sources = modules.flatMap(({ vms }) => vms.map(({ source }) => source));
  return new Set(sources.flatMap((source) => (source.kind === 'buildRef' ? [source.module] : [])));
}

function digestOf({ body, ...options }: SentModules): string {
  return createHash('sha256').update(JSON.stringify(options)).update(body).digest('hex');
}
