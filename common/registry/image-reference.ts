/** Parts of a reference of a container image. */
export interface ContainerReference {
  /** Host, and port where it has one, as it is written; Docker Hub is `docker.io`. */
  readonly registry: string;
  /** Path in the registry, e.g. `library/alpine`. */
  readonly repository: string;
  readonly tag: string | null;
  /** `sha256:<hex>`; it alone decides where there is one. */
  readonly digest: string | null;
}

const REFERENCE =
  /^(?<path>[A-Za-z0-9][A-Za-z0-9._/:-]*?)(?::(?<tag>\w[\w.-]{0,127}))?(?:@(?<digest>sha256:[0-9a-f]{64}))?$/;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*$/;
const DOCKER_HUB = 'docker.io';
/** Where Docker Hub has its registry. */
const DOCKER_HUB_HOST = 'registry-1.docker.io';

/**
 * Reads `[host[:port]/]path[:tag][@digest]` with the usual defaults: Docker Hub, its `library/`, and the
 * tag `latest`. Undefined when it is not a reference.
 */
export function parseContainerReference(text: string): ContainerReference | undefined {
  const groups = REFERENCE.exec(text)?.groups;
  if (!groups) return undefined;
  const { path = '', tag = null, digest = null } = groups;
  const slash = path.indexOf('/');
  const first = slash < 0 ? '' : path.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost';
  const registry = isHost ? first : DOCKER_HUB;
  const rest = isHost ? path.slice(slash + 1) : path;
  const repository = registry === DOCKER_HUB && !rest.includes('/') ? `library/${rest}` : rest;
  if (!REPOSITORY.test(repository)) return undefined;
  return { registry, repository, tag: tag ?? (digest === null ? 'latest' : null), digest };
}

/** The same image by its digest alone: its content never changes. */
export function pinnedReference({ registry, repository }: ContainerReference, digest: string): string {
  return `${registry}/${repository}@${digest}`;
}

/** Root of the registry's API. As Docker does, loopback is spoken to in the clear. */
export function registryUrl({ registry }: ContainerReference): string {
  const host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?$/.test(host);
  return `${isLoopback ? 'http' : 'https'}://${host}/v2/`;
}
