import { createHash } from 'node:crypto';
import type { Agent } from 'undici';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { validatorIdentity } from '../../common/contracts/source-validator.ts';
import { wrapError } from '../../common/errors/farm-error.ts';
import { askValidator, fetchSource } from '../../common/fetch/fetch-source.ts';
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
 * Ties the loose ends of modules: what is behind each URL that no checksum pins, and under each key on the clusters. A source that the farm may not or cannot
 * ask for has no identity (the cluster may well reach it), so that nothing made from it is reused.
 * @throws SourceUnreachable when a server says that there is no such source, or a file cannot be read; as `resolveObjects`
 */
export async function resolveFacts(modules: readonly CompiledModule[], asked: FactSources): Promise<Facts> {
  const { agent } = asked;
  const { sources, files, objects } = looseEnds(modules);
  return {
    sources: Object.fromEntries(await eachOf(sources, async (url) => [url, await identify(url, agent)])),
    files: Object.fromEntries(await eachOf(files, async (url) => [url, await hashFile(url, agent)])),
    objects: await resolveObjects(objects, asked),
  };
}

async function identify(url: string, agent: Agent): Promise<SourceFact> {
  // References of container images are no URLs.
  const validator = /^https?:/.test(url) ? await askValidator(url, { agent }) : null;
  return { identity: validator && validatorIdentity(url, validator) };
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
