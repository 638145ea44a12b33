import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fillTemplate, templateNames } from '../../../common/contracts/boot-command/template.ts';
import type { Checksum, ModuleFile } from '../../../common/contracts/module/compiled.ts';
import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';
import { fetchSource } from '../../../common/fetch/fetch-source.ts';
import type { ClaimedSecrets } from '../../runtime/claimed-secrets.ts';
import { type PhaseContext, PhaseFailure } from '../phase-executor.ts';

/** A file of the module, ready to be handed on. */
export interface ReadyFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of the content as handed on: templates filled. Lower-case hexadecimal. */
  readonly sha256: string;
  readonly content: () => Readable;
}

/** Larger texts are no templates. */
const MAX_TEMPLATE_BYTES = 1024 * 1024;

/**
 * Gets the files of a module by name, fetching those that are URLs into a temporary directory, and hands them to `use`;
 * the directory is removed afterwards. `{{ .Name }}`-style templates in texts are filled with `values`; other braces stay.
 * @throws PhaseFailure `SourceUnreachable`, `ChecksumMismatch` or `SourceChanged`
 */
export async function withModuleFiles<T>(
  context: PhaseContext,
  names: readonly string[],
  use: (files: readonly ModuleContent[]) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-files-'));
  try {
    const { files } = context.claim.spec.module;
    const wanted = names.map((name) => files.find((file) => file.name === name));
    const contents: ModuleContent[] = [];
    for (const [index, file] of wanted.entries()) {
      if (!file) throw new FarmError('BrokenInvariant', `The module has no file "${names[index]}"`);
      contents.push(await contentOf(context, file, join(directory, String(index))));
    }
    return await use(contents);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** A file before its templates are filled, and then the secrets that its text refers to. */
export type ModuleContent =
  | { readonly kind: 'text'; readonly name: string; readonly text: string; readonly secrets?: ClaimedSecrets }
  | { readonly kind: 'binary'; readonly name: string; readonly path: string; readonly sha256: string };

/** Fills the templates of a text; anything else is handed on as it is. */
export async function readyFile(content: ModuleContent, values: Readonly<Record<string, string>>): Promise<ReadyFile> {
  const { name } = content;
  if (content.kind === 'binary') {
    const { path, sha256 } = content;
    return { name, sizeBytes: (await stat(path)).size, sha256, content: () => createReadStream(path) };
  }
  const text = fillTemplate(content.text, values, 'keep');
  const bytes = Buffer.from(content.secrets ? content.secrets.fill(text) : text);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { name, sizeBytes: bytes.length, sha256, content: () => Readable.from([bytes]) };
}

async function contentOf(context: PhaseContext, file: ModuleFile, path: string): Promise<ModuleContent> {
  const { name } = file;
  if (file.kind === 'inline') return { kind: 'text', name, text: file.content, secrets: context.secrets };
  const sha256 = await fetchInto(context, file, path);
  const planned = context.claim.spec.fileHashes[name];
  if (planned !== undefined && planned !== sha256) {
    throw new PhaseFailure('SourceChanged', `The file "${name}" changed since it was planned`);
  }
  const text = await templateText(path);
  return text === undefined ? { kind: 'binary', name, path, sha256 } : { kind: 'text', name, text };
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
  const message = `The file "${name}" has ${checksum.algorithm} ${actual}, announced was ${checksum.hex}`;
  throw new PhaseFailure('ChecksumMismatch', message);
}
