import { createHash, hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { blobOf } from '../../common/contracts/blobs.ts';
import { fillTemplate, templateNames } from '../../common/contracts/boot-command/template.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Checksum, LocalContent, LocalFolder, ModuleFile } from '../../common/contracts/module/contents.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { fetchSource } from '../../common/fetch/fetch-source.ts';
import type { ClaimedSecrets } from '../context/claimed-secrets.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { openLocalFile } from './local-files.ts';

/** A file of the module, ready to be handed on. */
export interface ReadyFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of the content as handed on: templates filled. Lower-case hexadecimal. */
  readonly sha256: string;
  readonly content: () => Readable;
  /** Permission bits, where the file has its own. */
  readonly mode?: number;
}

/** Larger texts are not templates. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/** The files of a module with these names. */
export function moduleFiles({ files }: CompiledModule, names: readonly string[]): ModuleFile[] {
  return names.map((name) => {
    const file = files.find((candidate) => candidate.name === name);
    if (!file) throw new FarmError('BrokenInvariant', `The module has no file "${name}"`);
    return file;
  });
}

/** Files that guests can fetch, by path; a folder as the files in it. Explicitly named files win. */
export function servedFiles(module: CompiledModule): ModuleFile[] {
  const named = moduleFiles(module, module.httpDirectory).flatMap((file) =>
    file.kind === 'local' && file.content.kind === 'folder' ? filesBelow(`${file.name}/`, file.content) : [file],
  );
  const names = new Set(named.map(({ name }) => name));
  const others = module.httpFolder ? filesBelow('', module.httpFolder) : [];
  return [...named, ...others.filter(({ name }) => !names.has(name))];
}

function filesBelow(start: string, { entries }: LocalFolder): ModuleFile[] {
  return entries.flatMap(({ path, file }) =>
    file ? [{ name: `${start}${path}`, kind: 'local', content: file } as const] : [],
  );
}

/**
 * Gets files of a module, fetching those that lie elsewhere into a temporary directory, and hands them to `use`;
 * the directory is removed afterwards. `{{ .Name }}`-style templates in texts are filled with `values`; other braces stay.
 * @throws PhaseFailure `SourceUnreachable`, `ChecksumMismatch` or `SourceChanged`
 */
export async function withFiles<T>(
  context: PhaseContext,
  files: readonly ModuleFile[],
  use: (files: readonly ModuleContent[]) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-files-'));
  try {
    const contents: ModuleContent[] = [];
    for (const [index, file] of files.entries()) {
      contents.push(await contentOf(context, file, join(directory, String(index))));
    }
    return await use(contents);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A file before its templates are filled, and then the secrets that its text refers to. */
export type ModuleContent =
  | {
      readonly kind: 'text';
      readonly name: string;
      readonly text: string;
      readonly secrets?: ClaimedSecrets;
      readonly mode?: number;
    }
  | {
      readonly kind: 'binary';
      readonly name: string;
      readonly path: string;
      readonly sha256: string;
      readonly mode?: number;
    };

/** Fills the templates of a text; anything else is handed on as it is. */
export async function readyFile(content: ModuleContent, values: Readonly<Record<string, string>>): Promise<ReadyFile> {
  const { name, mode } = content;
  const own = mode === undefined ? { name } : { name, mode };
  if (content.kind === 'binary') {
    const { path, sha256 } = content;
    return { ...own, sizeBytes: (await stat(path)).size, sha256, content: () => createReadStream(path) };
  }
  const text = fillTemplate(content.text, values, 'keep');
  const bytes = Buffer.from(content.secrets ? content.secrets.fill(text) : text);
  const sha256 = hash('sha256', bytes);
  return { ...own, sizeBytes: bytes.length, sha256, content: () => Readable.from([bytes]) };
}

async function contentOf(context: PhaseContext, file: ModuleFile, path: string): Promise<ModuleContent> {
  const { name } = file;
  if (file.kind === 'inline') return { kind: 'text', name, text: file.content, secrets: context.secrets };
  if (file.kind === 'local') return localContent(context, { name, content: file.content, path });
  const sha256 = await fetchInto(context, file, path);
  const planned = context.claim.spec.fileHashes[name];
  if (planned !== undefined && planned !== sha256) {
    throw new PhaseFailure('SourceChanged', `The file "${name}" changed since it was planned`);
  }
  return fetchedContent({ name }, path, sha256);
}

async function localContent(
  context: PhaseContext,
  { name, content, path }: { readonly name: string; readonly content: LocalContent; readonly path: string },
): Promise<ModuleContent> {
  if (content.kind === 'folder')
    throw new FarmError('BrokenInvariant', `"${name}" is a folder where a file is required.`);
  await pipeline(openLocalFile(context, content), createWriteStream(path, { mode: 0o600 }));
  return fetchedContent({ name, mode: content.mode }, path, blobOf(content.url) ?? '');
}

async function fetchedContent(
  own: { readonly name: string; readonly mode?: number },
  path: string,
  sha256: string,
): Promise<ModuleContent> {
  const text = await templateText(path);
  return text === undefined ? { kind: 'binary', ...own, path, sha256 } : { kind: 'text', ...own, text };
}

/** Undefined for anything but a small UTF-8 text that carries templates. */
async function templateText(path: string): Promise<string | undefined> {
  if ((await stat(path)).size > MAX_TEMPLATE_BYTES) return undefined;
  const bytes = await readFile(path);
  const text = bytes.toString('utf8');
  return templateNames(text).length > 0 && Buffer.from(text).equals(bytes) ? text : undefined;
}

type UrlFile = Extract<ModuleFile, { kind: 'url' }>;

async function fetchInto(context: PhaseContext, file: UrlFile, path: string): Promise<string> {
  const { name, url, checksum } = file;
  const { signal, agent, secrets } = context;
  const credentials = secrets.credentials(file.credentials);
  const sha256 = createHash('sha256');
  const announced = createHash(checksum?.algorithm ?? 'sha256');
  try {
    const { body } = await fetchSource(url, { agent, signal, ...(credentials ? { credentials } : {}) });
    const hashed = async function* () {
      for await (const chunk of body ?? []) {
        sha256.update(chunk);
        announced.update(chunk);
        yield chunk;
      }
    };
    await pipeline(hashed, createWriteStream(path, { mode: 0o600 }), { signal });
  } catch (error) {
    signal.throwIfAborted();
    const message = `The file "${name}" could not be fetched: ${errorMessage(error)}`;
    throw new PhaseFailure('SourceUnreachable', message, { cause: error });
  }
  assertChecksum(name, checksum, announced.digest('hex'));
  return sha256.digest('hex');
}

function assertChecksum(name: string, checksum: Checksum | null, actual: string): void {
  if (!checksum || checksum.hex === actual) return;
  const message = `The file "${name}" has ${checksum.algorithm} ${actual}, expected ${checksum.hex}`;
  throw new PhaseFailure('ChecksumMismatch', message);
}
