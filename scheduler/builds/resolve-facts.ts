import { createHash } from 'node:crypto';
import type { Agent } from 'undici';
import type { Credentials, Location } from '../../common/contracts/module/location.ts';
import { own } from '../../common/contracts/own.ts';
import { IMAGE_PREFIX, validatorIdentity } from '../../common/contracts/source-validator.ts';
import { FarmError, wrapError } from '../../common/errors/farm-error.ts';
import { askValidator, fetchSource } from '../../common/fetch/fetch-source.ts';
import { parseContainerReference } from '../../common/registry/image-reference.ts';
import { RegistryClient } from '../../common/registry/registry-client.ts';
import { RegistryError } from '../../common/registry/registry-session.ts';
import type { Facts, SourceFact, UnresolvedContents } from '../graph/facts.ts';
import { planningError, problemOf } from '../graph/planning-problems.ts';
import { eachOf } from './each-of.ts';
import { type ObjectSources, resolveObjects } from './resolve-objects.ts';

const TIMEOUT_MS = 30_000;
const MAX_FILE_BYTES = 64 * 1024 ** 2;

/** Servers and clusters to ask. */
export interface FactSources extends ObjectSources {
  /** For the farm's own requests to URLs. */
  readonly agent: Agent;
  /** Puts the values of secrets into a text that refers to them. */
  fill(text: string): string;
}

/**
 * Resolves unpinned URLs to an ETag or digest, and keys on the clusters to a hash of their values. A source that the farm
 * may not or cannot ask for has no identity (the cluster may well reach it), so layers made from it are not reused.
 * @throws at the module that uses it: SourceUnreachable when a server reports that the source does not exist, or a file cannot be
 *   read; as `resolveObjects`
 */
export async function resolveFacts(
  { sources, images, files, objects, requestedBy }: UnresolvedContents,
  asked: FactSources,
): Promise<Omit<Facts, 'secrets'>> {
  const { agent } = asked;
  const at = <T>(requested: string, layerBuild: Promise<T>) =>
    layerBuild.catch((error: unknown) => {
      throw placed(error, { requested, requestedBy });
    });
  const identified = [
    ...(await eachOf(sources, async (source) => [source.url, await at(source.url, identify(source, asked))] as const)),
    ...(await eachOf(
      images,
      async (image) => [image, { identity: await at(image, resolveImage(image, agent)) }] as const,
    )),
  ];
  return {
    sources: Object.fromEntries(identified),
    files: Object.fromEntries(
      await eachOf(files, async (file) => [file.url, await at(file.url, hashFile(file, asked))] as const),
    ),
    objects: await at('', resolveObjects(objects, asked)),
  };
}

/** The error at the module that uses the source. */
function placed(
  error: unknown,
  { requested, requestedBy }: Pick<UnresolvedContents, 'requestedBy'> & { readonly requested: string },
) {
  if (!(error instanceof FarmError)) return error;
  const { code, message, details } = error;
  const module = own(requestedBy, String(details['requested'] ?? requested));
  if (!module || !(code === 'SourceUnreachable' || code === 'ClustersDiffer' || code === 'InvalidModule')) return error;
  return planningError([problemOf(module, { code, message })], error);
}

async function identify({ url, credentials }: Location, { agent, fill }: FactSources): Promise<SourceFact> {
  const validator = await askValidator(url, { agent, ...opened(credentials, fill) });
  return { identity: validator && validatorIdentity(url, validator) };
}

function opened(credentials: Credentials | null, fill: (text: string) => string) {
  if (!credentials) return {};
  return { credentials: { username: fill(credentials.username), password: fill(credentials.password) } };
}

/** By the digest that the registry has for the reference now; null when it may not or cannot be asked. */
async function resolveImage(image: string, agent: Agent): Promise<string | null> {
  const reference = parseContainerReference(image);
  if (!reference)
    throw new FarmError('InvalidModule', `"${image}" is not a container image reference: write REGISTRY/PATH:TAG.`);
  try {
    const registry = new RegistryClient(reference, { agent, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return `${IMAGE_PREFIX}${await registry.digest()}`;
  } catch (error) {
    if (!(error instanceof RegistryError) || error.status !== 404) return null;
    throw new FarmError('SourceUnreachable', `The container image "${image}": ${error.message}.`, { cause: error });
  }
}

async function hashFile({ url, credentials }: Location, { agent, fill }: FactSources): Promise<string> {
  try {
    const request = { agent, signal: AbortSignal.timeout(TIMEOUT_MS), ...opened(credentials, fill) };
    const response = await fetchSource(url, request);
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
