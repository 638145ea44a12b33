import { spawnSync } from 'node:child_process';
import { hash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

const OCI = 'application/vnd.oci.image';
const PACKING = {
  none: (bytes: Buffer) => bytes,
  gzip: (bytes: Buffer) => gzipSync(bytes, { level: 1 }),
  zstd: (bytes: Buffer) => spawnSync('zstd', ['-1', '-c'], { input: bytes, maxBuffer: 2 ** 30 }).stdout,
};

export interface PushedLayer {
  readonly files: Readonly<Record<string, Buffer>>;
  readonly packing?: keyof typeof PACKING;
}

export interface PushedImage {
  /** The lowest first. */
  readonly layers: readonly PushedLayer[];
  /** Puts it, for amd64, behind an index that also names an image for s390x. */
  readonly indexed?: boolean;
}

/** A registry on loopback that speaks the registry HTTP API v2, as far as pulling goes. */
export interface ImageRegistry {
  /** `host:port`, as references name it. */
  readonly host: string;
  /** Makes `<host>/<repository>:<tag>` name this image; resolves with the digest that it has now. */
  push(name: string, image: PushedImage): Promise<string>;
  /** Content by digest; tests that change it play a registry that cannot be trusted. */
  readonly blobs: Map<string, Buffer>;
  /** `METHOD path` of every request so far. */
  readonly requests: readonly string[];
  stop(): Promise<void>;
}

/** Starts one. With `tokens` nothing is served without a token, which everybody gets, as Docker Hub does. */
export async function startImageRegistry({ tokens = false } = {}): Promise<ImageRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, { readonly type: string; readonly bytes: Buffer }>();
  const requests: string[] = [];
  const issued = new Set<string>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', `http://${host}`);
    requests.push(`${request.method} ${url.pathname}`);
    if (url.pathname === '/token') return issueToken(url, response);
    if (tokens && !mayPull(request, url)) return askForToken(response);
    const [, name = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url.pathname) ?? [];
    const manifest = kind === 'manifests' ? manifests.get(`${name}:${reference}`) : undefined;
    const blob = kind === 'blobs' ? blobs.get(reference) : undefined;
    if (manifest) {
      const headers = { 'content-type': manifest.type, 'docker-content-digest': digestOf(manifest.bytes) };
      return void response.writeHead(200, headers).end(manifest.bytes);
    }
    if (blob) return void response.writeHead(200, { 'content-length': blob.length }).end(blob);
    const errors = [{ code: `${kind.slice(0, -1).toUpperCase()}_UNKNOWN`, message: `${kind.slice(0, -1)} unknown` }];
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ errors }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  function issueToken(url: URL, response: ServerResponse): void {
    const token = randomUUID();
    issued.add(`${token} ${url.searchParams.get('scope')}`);
    response.end(JSON.stringify({ token }));
  }

  function mayPull({ headers }: IncomingMessage, url: URL): boolean {
    const [, repository] = /^\/v2\/(.+)\/(?:manifests|blobs)\//.exec(url.pathname) ?? [];
    return issued.has(`${headers.authorization?.replace(/^Bearer /, '')} repository:${repository}:pull`);
  }

  function askForToken(response: ServerResponse): void {
    const challenge = `Bearer realm="http://${host}/token",service="registry.test"`;
    const errors = [{ code: 'UNAUTHORIZED', message: 'authentication required' }];
    response.writeHead(401, { 'www-authenticate': challenge }).end(JSON.stringify({ errors }));
  }

  function put(bytes: Buffer) {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  }

  function putManifest(name: string, type: string, content: object) {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, ...content }));
    const digest = digestOf(bytes);
    const repository = name.replace(/:[^:]*$/, '');
    manifests.set(name, { type, bytes });
    manifests.set(`${repository}:${digest}`, { type, bytes });
    return { mediaType: type, digest, size: bytes.length };
  }

  return {
    host,
    blobs,
    requests,
    push: async (name, { layers, indexed }) => {
      const config = { mediaType: `${OCI}.config.v1+json`, ...put(Buffer.from('{}')) };
      const packed = await Promise.all(layers.map(async (layer) => put(await packLayer(layer))));
      const manifest = putManifest(name, `${OCI}.manifest.v1+json`, { config, layers: packed });
      if (!indexed) return manifest.digest;
      const other = { ...manifest, digest: digestOf(Buffer.from('other')) };
      const platforms = [
        { ...other, platform: { os: 'linux', architecture: 's390x' } },
        { ...manifest, platform: { os: 'linux', architecture: 'amd64' } },
      ];
      return putManifest(name, `${OCI}.index.v1+json`, { manifests: platforms }).digest;
    },
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function packLayer({ files, packing = 'gzip' }: PushedLayer): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('/')) archive.entry({ name, type: 'directory' });
    else archive.entry({ name }, content);
  }
  archive.finalize();
  return PACKING[packing](await buffer(archive as AsyncIterable<Buffer>));
}

function digestOf(bytes: Buffer): string {
  return `sha256:${hash('sha256', bytes)}`;
}
