import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';

/** Where the machine half keeps its files, and the prefix of every name it uses on the host. */
export interface HostLayout {
  readonly dataDir: string;
  /** One directory per PersistentVolumeClaim, by uid. */
  readonly volumes: string;
  /**
   * Frozen qcow2 files that overlays stand on. As deep as a volume's directory: a disk that is frozen moves here with the
   * relative path of what it stands on inside it.
   */
  readonly layers: string;
  /** Sockets, logs and configuration of running processes; what is below it names our processes. */
  readonly run: string;
  /**
   * Begins the name of every network namespace, host interface and nftables table. Derived from the data directory, so
   * two clusters on one host never meet. 10 characters.
   */
  readonly prefix: string;
}

/** The layout of a data directory. */
export function layoutOf(dataDir: string): HostLayout {
  const absolute = resolve(dataDir);
  return {
    dataDir: absolute,
    volumes: join(absolute, 'volumes'),
    layers: join(absolute, 'layers', 'frozen'),
    run: join(absolute, 'run'),
    prefix: `sw${shortHash(absolute, 8)}`,
  };
}

/** The first hexadecimal digits of the SHA-256 of a text: a name that fits where names must be short. */
export function shortHash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}
