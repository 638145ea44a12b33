import { hash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Where the machine half keeps its files, and the prefix of every name it uses on the host. */
export interface HostLayout {
  readonly dataDir: string;
  /** One directory per PersistentVolumeClaim, by uid. */
  readonly volumes: string;
  /**
   * Frozen qcow2 files that overlays are based on. As deep as a volume's directory: a disk that is frozen moves here with the
   * relative path of what it is based on inside it.
   */
  readonly layers: string;
  /** Sockets, logs and configuration of running processes; the paths below it identify our processes. */
  readonly run: string;
  /**
   * Begins the name of every network namespace, host interface and nftables table. Derived from the data directory, so
   * two clusters on one host never meet. 10 characters.
   */
  readonly prefix: string;
}

/** The longest path of a socket below the run directory of a machine, a pod or an import, e.g. `machines/0123456789ab/serial.sock`. */
const SOCKET_BYTES = 33;
/** `sun_path` of unix(7) holds 108 bytes with the final zero. */
const LONGEST_SOCKET = 107;

/** The layout of a data directory. @throws InvalidConfig when the paths of sockets in it would be too long */
export function layoutOf(dataDir: string): HostLayout {
  const absolute = resolve(dataDir);
  const longest = LONGEST_SOCKET - SOCKET_BYTES - '/run/'.length;
  if (Buffer.byteLength(absolute) > longest) {
    const message = `The path of the data directory is longer than ${longest} bytes, so no socket fits: ${absolute}`;
    throw new FarmError('InvalidConfig', message);
  }
  return {
    dataDir: absolute,
    volumes: join(absolute, 'volumes'),
    layers: join(absolute, 'layers', 'frozen'),
    run: join(absolute, 'run'),
    prefix: `sw${shortHash(absolute, 8)}`,
  };
}

/** Sockets, discs and logs of one machine or pod, and where an import works; its uid is shortened, as paths of sockets must be. */
export function runDirOf({ run }: HostLayout, kind: 'machines' | 'pods' | 'imports', uid: string): string {
  return join(run, kind, shortHash(uid, 12));
}

/** The first hexadecimal digits of the SHA-256 of a text: a name that fits where names must be short. */
export function shortHash(text: string, length: number): string {
  return hash('sha256', text).slice(0, length);
}
