import { createHash } from 'node:crypto';
import { type Agent, fetch, type Response } from 'undici';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { readValidator, validatorIdentity } from '../../common/contracts/source-validator.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import type { Facts, SourceFact } from '../graph/facts.ts';
import { looseEnds } from '../graph/facts.ts';

const TIMEOUT_MS = 30_000;
const MAX_FILE_BYTES = 64 * 1024 ** 2;
const CONCURRENCY = 8;
/** Answers of servers that do not do HEAD. */
const NO_HEAD = new Set([403, 405, 501]);

/**
 * Ties the loose ends of modules: what is behind each URL that no checksum pins. A source that the farm may not or cannot
 * ask for has no identity (the cluster may well reach it), so that nothing made from it is reused.
 * @throws SourceUnreachable when a server says that there is no such source, or a file cannot be read
 */
export async function resolveFacts(modules: readonly CompiledModule[], agent: Agent): Promise<Facts> {
  const { sources, files } = looseEnds(modules);
  return {
    sources: Object.fromEntries(await eachOf(sources, async (url) => [url, await identify(url, agent)])),
    files: Object.fromEntries(await eachOf(files, async (url) => [url, await hashFile(url, agent)])),
  };
}

async function identify(url: string, agent: Agent): Promise<SourceFact> {
  // References of container images are no URLs.
  if (!/^https?:/.test(url)) return { identity: null };
  let response: Response;
  try {
    response = await ask(url, agent);
  } catch {
    return { identity: null };
  }
  if (response.status === 404 || response.status === 410) {
    throw new FarmError('SourceUnreachable', `There is nothing at ${url}: HTTP ${response.status}.`);
  }
  return { identity: response.ok ? validatorIdentity(url, readValidator(response.headers)) : null };
}

/** HEAD, or the first byte from servers that refuse it. */
async function ask(url: string, agent: Agent): Promise<Response> {
  const options = { dispatcher: agent, signal: AbortSignal.timeout(TIMEOUT_MS) };
  const head = await fetch(url, { ...options, method: 'HEAD' });
  await head.body?.cancel();
  if (!NO_HEAD.has(head.status)) return head;
  const ranged = await fetch(url, { ...options, headers: { range: 'bytes=0-0' } });
  await ranged.body?.cancel();
  return ranged;
}

async function hashFile(url: string, agent: Agent): Promise<string> {
  try {
    const response = await fetch(url, { dispatcher: agent, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of response.body) {
      size += chunk.byteLength;
      if (size > MAX_FILE_BYTES) throw new Error('it is larger than 64 MiB');
      hash.update(chunk);
    }
    return hash.digest('hex');
  } catch (error) {
    const why = errorMessage(error instanceof Error ? (error.cause ?? error) : error);
    throw new FarmError('SourceUnreachable', `The file ${url} cannot be read: ${why}.`, { cause: error });
  }
}

/** A few at a time. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += CONCURRENCY) {
    results.push(...(await Promise.all(items.slice(from, from + CONCURRENCY).map(work))));
  }
  return results;
}
