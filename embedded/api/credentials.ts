import { execFile } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FarmError } from '../../common/errors/farm-error.ts';
import { writeAtomically } from './write-atomically.ts';

const run = promisify(execFile);
const VALID_DAYS = '3650';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Credentials of clients and server. */
export interface ApiCredentials {
  /** The server's private key, PEM. */
  readonly key: string;
  /** The server's certificate, PEM. */
  readonly certificate: string;
  /** The authority that signed it, PEM; clients trust this. */
  readonly authority: string;
  /** The bearer token of the one user. */
  readonly token: string;
}

/**
 * The credentials of a data directory, made on first use and kept: an authority of its own, a server certificate for
 * the host (renewed when the host changes) and a token. Uses the `openssl` program.
 */
export async function ensureCredentials(dataDir: string, host: string): Promise<ApiCredentials> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const token = await ensureToken(join(dataDir, 'token'));
  const folder = join(dataDir, 'tls');
  const present = await readCertificates(folder);
  if (present && covers(present.certificate, host)) return { ...present, token };
  await makeCertificates(dataDir, folder, host);
  const made = await readCertificates(folder);
  if (!made) throw new FarmError('BrokenInvariant', `The certificates in "${folder}" are incomplete.`);
  return { ...made, token };
}

async function ensureToken(path: string): Promise<string> {
  const present = await readFile(path, 'utf8').catch(() => '');
  if (present.trim() !== '') return present.trim();
  const token = randomBytes(32).toString('hex');
  await writeAtomically(path, `${token}\n`);
  return token;
}

async function readCertificates(folder: string): Promise<Omit<ApiCredentials, 'token'> | undefined> {
  try {
    const [key, certificate, authority] = await Promise.all(
      ['server.key', 'server.crt', 'ca.crt'].map((file) => readFile(join(folder, file), 'utf8')),
    );
    return key && certificate && authority ? { key, certificate, authority } : undefined;
  } catch {
    return undefined;
  }
}

function covers(certificate: string, host: string): boolean {
  const parsed = new X509Certificate(certificate);
  return (isIP(host) ? parsed.checkIP(host) : parsed.checkHost(host)) !== undefined;
}

/** Makes the folder as a whole under another name, so that a crash leaves no incomplete folder in its place. */
async function makeCertificates(dataDir: string, folder: string, host: string): Promise<void> {
  const draft = await mkdtemp(join(dataDir, 'tls-'));
  const openssl = (...args: string[]) => run('openssl', args, { cwd: draft });
  const names = new Set(['127.0.0.1', '::1', 'localhost', hostname(), host]);
  const alternatives = [...names].map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',');
  await writeFile(join(draft, 'server.ext'), `subjectAltName=${alternatives}\nextendedKeyUsage=serverAuth\n`);
  try {
    const authority = ['-subj', '/CN=slipway-embedded-ca', '-days', VALID_DAYS, '-keyout', 'ca.key', '-out', 'ca.crt'];
    await openssl('req', '-x509', ...NEW_KEY, ...authority);
    await openssl('req', ...NEW_KEY, '-subj', '/CN=slipway-embedded', '-keyout', 'server.key', '-out', 'server.csr');
    const signing = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', VALID_DAYS];
    await openssl('x509', '-req', '-in', 'server.csr', ...signing, '-extfile', 'server.ext', '-out', 'server.crt');
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    throw new FarmError(
      'InvalidConfig',
      'The program "openssl" could not make the certificates of the embedded cluster.',
      {
        cause,
      },
    );
  }
}
