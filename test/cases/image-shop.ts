import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { copyFile, open, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createEncrypted } from '../harness/encrypted-image.ts';
import { guestImages } from '../harness/guest-images.ts';

/** User and password of what lies under `/auth/`. */
const CREDENTIALS = `Basic ${Buffer.from('ci:hunter2').toString('base64')}`;

/** The address of a server of images as they are met in the field, good and bad. */
export interface ImageShop {
  /** `http://HOST:PORT`, the cases' variable `BASE`. */
  readonly base: string;
  /** `HOST:PORT`, for addresses with credentials in them. */
  readonly host: string;
}

/**
 * Serves, from `folder`, the files that the cases ask for. `/cut/…` closes the connection after a third of what it promised,
 * `/auth/…` wants a password, `/html/…` is a page under any name.
 */
export async function openImageShop(folder: string, resources: ReleaseStack): Promise<ImageShop> {
  await makeImages(folder);
  const server = createServer((request, response) => {
    answer(folder, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  resources.defer('image shop', () => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { base: `http://${host}`, host };
}

async function makeImages(folder: string): Promise<void> {
  const at = (name: string) => join(folder, name);
  const qemuImg = (...args: string[]) => promisify(execFile)('qemu-img', args, { cwd: folder });
  const { cloudImage, debianImage } = await guestImages('debian');
  await symlink(cloudImage, at('tiny.qcow2'));
  await symlink(String(debianImage), at('debian.qcow2'));
  await writeFile(at('note.txt'), 'a note\n');
  await writeFile(at('page.qcow2'), '<!DOCTYPE html>\n<html><body>Sign in to download.</body></html>\n');
  await writeFile(at('empty.qcow2'), '');
  await writeFile(at('zip.qcow2'), Buffer.concat([Buffer.from('PK\x03\x04\x14\0\0\0\x08\0'), Buffer.alloc(4096, 7)]));
  await writeFile(at('noise.qcow2'), Buffer.alloc(4096, 7));
  await copyFile(cloudImage, at('half.qcow2'));
  await truncate(at('half.qcow2'), Math.floor((await stat(cloudImage)).size / 2));
  await qemuImg('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'flat.vmdk', '16M');
  await qemuImg('create', '-f', 'qcow2', '-b', '/etc/hostname', '-F', 'raw', '-u', 'backing.qcow2', '16M');
  createEncrypted(at('luks.qcow2'), 'qcow2');
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, aisle, name = ''] = /^\/(?:(cut|auth|html)\/)?([\w.-]+)$/.exec(request.url ?? '') ?? [];
  if (aisle === 'auth' && request.headers.authorization !== CREDENTIALS) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="images"' }).end('a password, please\n');
    return;
  }
  const path = join(folder, name);
  const file = await open(path).catch(() => null);
  if (name === '' || file === null) {
    response.writeHead(404).end('not here\n');
    return;
  }
  const { size } = await file.stat();
  await file.close();
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = to ? Math.min(Number(to), size - 1) : size - 1;
  const length = Math.max(end - start + 1, 0);
  const type = aisle === 'html' ? 'text/html' : 'application/octet-stream';
  const headers = {
    'accept-ranges': 'bytes',
    'content-type': type,
    'content-length': length,
    etag: `"${name}-${size}"`,
  };
  if (from === undefined) response.writeHead(200, headers);
  else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${size}` });
  if (request.method === 'HEAD' || length === 0) {
    response.end();
    return;
  }
  const stop = aisle === 'cut' ? start + Math.floor(length / 3) : end;
  await pipeline(createReadStream(path, { start, end: stop }), response, { end: aisle !== 'cut' });
  if (aisle === 'cut') response.destroy();
}
