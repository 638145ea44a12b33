import { createHash } from 'node:crypto';
import type { Agent } from 'undici';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { IMAGE_PREFIX, validatorIdentity } from '../../common/contracts/source-validator.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import { askValidator, fetchSource } from '../../common/fetch/fetch-source.ts';
import { parseImageReference } from '../../common/registry/image-reference.ts';
import { RegistryClient, RegistryError } from '../../common/registry/registry-client.ts';
import type { Facts, SourceFact } from '../graph/facts.ts';
import { looseEnds } from '../graph/facts.ts';
import { eachOf } from './each-of.ts';
import { type ObjectSources, resolveObjects } from './resolve-objects.ts';

const TIMEOUT_MS = 30_000;
const MAX_FILE_BYTES = 64 * 1024 ** 2;

/** Who is asked. */
export interface FactSources extends ObjectSources {
  /** For the farm's own requests to URLs. */
  readonly agent: Agent;
}

/**
 * Ties the loose ends of modules: what is behind each URL that no checksum pins, and under each key on the clusters. A
 * source that the farm may not or cannot ask for has no identity (the cluster may well reach it), so that nothing made from it is reused.
 * @throws SourceUnreachable when a server says that there is no such source, or a file cannot be read; as `resolveObjects`
 */
export async function resolveFacts(
  modules: readonly CompiledModule[],
  asked: FactSources,
): Promise<Omit<Facts, 'secrets'>> {
  const { agent } = asked;
  const { sources, files, objects } = looseEnds(modules);
  return {
    sources: Object.fromEntries(await eachOf(sources, async (url) => [url, await identify(url, agent)])),
    files: Object.fromEntries(await eachOf(files, async (url) => [url, await hashFile(url, agent)])),
    objects: await resolveObjects(objects, asked),
  };
}

async function identify(source: string, agent: Agent): Promise<SourceFact> {
  // References of container images are no URLs.
  if (!/^https?:/.test(source)) return { identity: await resolveImage(source, agent) };
  const validator = await askValidator(source, { agent });
  return { identity: validator && validatorIdentity(source, validator) };
}

/** By the digest that the registry has for the reference now; null when it may not or cannot be asked. */
async function resolveImage(image: string, agent: Agent): Promise<string | null> {
  const reference = parseImageReference(image);
  if (!reference) throw new FarmError('InvalidModule', `"${image}" is no reference of a container image.`);
  try {
    const registry = new RegistryClient(reference, { agent, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return `${IMAGE_PREFIX}${await registry.digest()}`;
  } catch (error) {
    if (!(error instanceof RegistryError) || error.status !== 404) return null;
    throw new FarmError('SourceUnreachable', `The container image "${image}": ${error.message}.`, { cause: error });
  }
}

async function hashFile(url: string, agent: Agent): Promise<string> {
  try {
    const response = await fetchSource(url, { agent, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > MAX_FILE_BYTES) throw new Error(`${url} is larger than 64 MiB`);
      hash.update(chunk);
    }
    return hash.digest('hex');
  } catch (error) {
    throw wrapError(error, 'A file of a module cannot be read', 'SourceUnreachable');
  }
}
