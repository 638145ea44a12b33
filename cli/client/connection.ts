import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { rootCertificates } from 'node:tls';
import { type Connection, connectionSchema, pointerSchema } from '../../common/contracts/connection.ts';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';

/** Where a farm's API answers, and with which token. */
export interface FarmAddress {
  readonly url: string;
  readonly token: string;
  /** Whom its certificate may be signed by (PEM), where that is not for Node.js to know. */
  readonly authorities?: readonly string[];
}

/** Flags that every command talking to a farm takes. */
export interface ConnectionFlags {
  readonly url?: string;
  readonly token?: string;
  readonly caFile?: string;
}

/** Folder of the pointer to the farm that runs on this machine. */
export function stateFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'slipway');
}

export function pointerFile(environment: NodeJS.ProcessEnv = process.env): string {
  return join(stateFolder(environment), 'current.json');
}

/** `DIR/connection.json` of a data folder; undefined when the folder holds no farm. */
export function readConnection(dataDir: string): Connection | undefined {
  return readJson(join(dataDir, 'connection.json'), connectionSchema);
}

/** Data folder of the farm that runs on this machine; undefined without one, or when its process is gone. */
export function currentDataDir(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const pointer = readJson(pointerFile(environment), pointerSchema);
  return pointer && isAlive(pointer.pid) ? pointer.dataDir : undefined;
}

/**
 * Flag, then `SLIPWAY_URL` and `SLIPWAY_TOKEN`, then the farm of this machine; undefined when none is named.
 * @throws InvalidRequest when the file of its authority cannot be used
 */
export function findFarm(
  flags: ConnectionFlags,
  environment: NodeJS.ProcessEnv = process.env,
): FarmAddress | undefined {
  const dataDir = currentDataDir(environment);
  const local = dataDir === undefined ? undefined : readConnection(dataDir);
  const url = flags.url ?? environment['SLIPWAY_URL'] ?? local?.url;
  const token = flags.token ?? environment['SLIPWAY_TOKEN'] ?? (url === local?.url ? local?.token : undefined);
  if (url === undefined) return undefined;
  return { url: url.replace(/\/+$/, ''), token: token ?? '', ...authoritiesOf(flags, environment) };
}

/** Those that Node.js knows and one more: a farm may move to a public one. @throws InvalidRequest when the file has none */
function authoritiesOf(flags: ConnectionFlags, environment: NodeJS.ProcessEnv): Pick<FarmAddress, 'authorities'> {
  const file = flags.caFile ?? environment['SLIPWAY_CA_FILE'];
  if (file === undefined) return {};
  try {
    const own = readFileSync(file, 'utf8');
    new X509Certificate(own);
    return { authorities: [...rootCertificates, own] };
  } catch (cause) {
    const message = `${file} contains no CA certificate in PEM form: ${errorMessage(cause)}`;
    throw new FarmError('InvalidRequest', message, { cause });
  }
}

/**
 * Flags that name the same farm to a command that another program runs later, with an environment and a folder of its own. Empty: the
 * farm of this machine, whose port may change. A token is never among them.
 */
export function flagsOf(flags: ConnectionFlags, environment: NodeJS.ProcessEnv = process.env): string[] {
  const url = flags.url ?? environment['SLIPWAY_URL'];
  const caFile = flags.caFile ?? environment['SLIPWAY_CA_FILE'];
  return [
    ...(url === undefined ? [] : ['--url', url]),
    ...(caFile === undefined ? [] : ['--ca-file', resolve(caFile)]),
  ];
}

/** As `findFarm`. @throws FarmUnreachable when no farm is named and none runs here. */
export function requireFarm(flags: ConnectionFlags): FarmAddress {
  const farm = findFarm(flags);
  if (!farm) throw new FarmError('FarmUnreachable', 'No farm URL is given, and no farm runs on this machine.');
  return farm;
}

/** True when a process of that id exists. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return hasErrorCode(error, 'EPERM');
  }
}

function readJson<T>(
  file: string,
  schema: { safeParse(value: unknown): { success: boolean; data?: T } },
): T | undefined {
  try {
    return schema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
