import { dirname } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { shortHash } from './layout.ts';
import { runCommand } from './run-command.ts';

/** Files and resources of a process that handles untrusted data. */
export interface Confinement {
  /** User id that it runs as where this process is root; else its user does not change. It needs no account. */
  readonly user: number;
  /** Group id; by default the same number. */
  readonly group?: number;
  /** Where it starts. */
  readonly directory: string;
  /** Whether it may write nowhere but to `writable`: neither to its directory nor to a `/tmp`. @defaultValue false */
  readonly isReadOnly?: boolean;
  /** More that it may write to; mounted under the same paths. */
  readonly writable?: readonly string[];
  /** Further readable paths. Absent ones are ignored. */
  readonly readable?: readonly string[];
  /** Device files that it may use. */
  readonly devices?: readonly string[];
  /** Further groups, such as that of a device. */
  readonly groups?: readonly number[];
  /** Without one it has only its own loopback interface. */
  readonly hasNetwork: boolean;
  /** Whether it is killed when this process ends. */
  readonly endsWithServer: boolean;
  /** `setpriv` names them without `CAP_`, in lower case. It has no others. */
  readonly capabilities?: readonly string[];
  readonly limits?: ResourceLimits;
  /** All that its environment has, besides `PATH`; `inherited`, where no command line may show the values. */
  readonly environment?: Readonly<Record<string, string>> | 'inherited';
}

/** Of each process (setrlimit(2)). */
export interface ResourceLimits {
  readonly cpuSeconds: number;
  /** Private memory that it may write to. */
  readonly memoryBytes: number;
  /** The largest file that it may write. */
  readonly fileBytes: number;
}

/** Programs and their libraries; no files of the farm, and none that only root may read. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64'];
const SETTINGS = ['ld.so.cache', 'alternatives', 'ssl', 'pki', 'ca-certificates', 'qemu', 'nsswitch.conf', 'host.conf'];
/** Changed by those who manage the network: read when they are needed. */
const NAMES = ['resolv.conf', 'hosts'];

/**
 * Makes commands that run without root, in a minimal mount namespace, by bubblewrap. Where that does
 * not work (namespaces forbidden, as in some containers), commands lose their capabilities and keep their limits only.
 */
export class Confiner {
  readonly isWhole: boolean;

  private constructor(isWhole: boolean) {
    this.isWhole = isWhole;
  }

  /** Tries it out once, in a directory that exists. */
  static async open(directory: string, logger: Logger): Promise<Confiner> {
    const whole = new Confiner(true);
    const trial = { user: FIRST_USER, directory, hasNetwork: false, endsWithServer: true };
    try {
      const [command = '', ...args] = whole.command(['true'], trial);
      await runCommand(command, args);
      return whole;
    } catch (error) {
      const cost = 'imports and machines run as the user of this process and see its files';
      logger.warn({ reason: errorMessage(error), cost }, 'Processes cannot be confined here');
      return new Confiner(false);
    }
  }

  /** The user of a process that is confined like this; undefined when it stays this process's own. */
  userOf({ user }: Pick<Confinement, 'user'>): number | undefined {
    return this.isWhole && process.getuid?.() === 0 ? user : undefined;
  }

  /** The whole command line of a confined command. */
  command(argv: readonly string[], how: Confinement): string[] {
    const limited = [...limitArguments(how.limits), ...this.#privileges(how), ...argv];
    if (!this.isWhole) return how.hasNetwork ? limited : ['unshare', '--net', ...limited];
    return ['bwrap', ...viewArguments(how), '--', ...limited];
  }

  #privileges(how: Confinement): string[] {
    const kept = how.capabilities ?? [];
    const set = ['-all', ...kept.map((name) => `+${name}`)].join(',');
    const user = this.userOf(how);
    const groups = how.groups?.length ? [`--groups=${how.groups.join(',')}`] : ['--clear-groups'];
    const identity = user === undefined ? [] : [`--reuid=${user}`, `--regid=${how.group ?? user}`, ...groups];
    const isRoot = process.getuid?.() === 0;
    const bounds = isRoot ? [`--bounding-set=${set}`] : [];
    return ['setpriv', ...identity, '--no-new-privs', ...bounds, `--inh-caps=${set}`, `--ambient-caps=${set}`];
  }
}

/**
 * The first of the user ids that confined processes have. No account or container has such ids: what systemd and the tools
 * of containers give away ends below.
 */
export const FIRST_USER = 1_900_000_000;

/** The user for the processes of one object, stable across restarts: one of 2^27, so that hardly two objects share one. */
export function userFor(uid: string): number {
  return FIRST_USER + 1 + (Number.parseInt(shortHash(uid, 8), 16) >>> 5);
}

/** A program of ours with its libraries, and the Node.js that runs it. */
export function programFiles(): string[] {
  return [process.execPath, ...['dist', 'node_modules', 'package.json'].map((name) => packagePath(name))];
}

function limitArguments(limits: ResourceLimits | undefined): string[] {
  if (!limits) return [];
  const { cpuSeconds, memoryBytes, fileBytes } = limits;
  return ['prlimit', '--core=0', `--cpu=${cpuSeconds}`, `--data=${memoryBytes}`, `--fsize=${fileBytes}`];
}

function viewArguments(how: Confinement): string[] {
  const { directory, writable = [], readable = [], devices = [], isReadOnly = false } = how;
  const { hasNetwork, endsWithServer } = how;
  const settings = [...SETTINGS, ...(hasNetwork ? NAMES : [])].map((name) => `/etc/${name}`);
  return [
    ...['--unshare-ipc', '--unshare-uts', '--unshare-pid', '--unshare-cgroup-try'],
    ...(hasNetwork ? [] : ['--unshare-net']),
    ...(endsWithServer ? ['--die-with-parent'] : []),
    ...environmentArguments(how),
    ...['--perms', '0755', '--dir', '/etc'],
    ...[...SYSTEM, ...settings].flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--proc', '/proc', '--dev', '/dev', '--perms', '1777', isReadOnly ? '--dir' : '--tmpfs', '/tmp'],
    ...parents([directory, ...writable, ...readable, ...devices]).flatMap((path) => ['--perms', '0755', '--dir', path]),
    ...readable.flatMap((path) => ['--ro-bind-try', path, path]),
    ...[isReadOnly ? '--ro-bind' : '--bind', directory, directory],
    ...writable.flatMap((path) => ['--bind', path, path]),
    ...devices.flatMap((path) => ['--dev-bind', path, path]),
    ...['--remount-ro', '/', '--chdir', directory],
  ];
}

function environmentArguments({ environment = {} }: Confinement): string[] {
  if (environment === 'inherited') return [];
  const all = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...environment };
  return ['--clearenv', ...Object.entries(all).flatMap(([name, value]) => ['--setenv', name, value])];
}

/** The directories above paths, from the root down: others than their owner have to pass them. */
function parents(paths: readonly string[]): string[] {
  const above = (path: string): string[] => (path === '/' ? [] : [...above(dirname(path)), path]);
  const all = new Set(paths.flatMap((path) => above(dirname(path))));
  return [...all].filter((path) => !SYSTEM.some((system) => path === system || path.startsWith(`${system}/`)));
}
