import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { freeBytes } from './machine-limits.ts';

/** Result of one check. `missing` stops `slipway up`, `limited` has the effect in `message`. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'limited' | 'missing';
  readonly message: string;
}

/** Programs that a farm on one machine runs, and what each is for. */
const PROGRAMS: readonly (readonly [name: string, purpose: string])[] = [
  ['redis-server', 'state and queues'],
  ['qemu-system-x86_64', 'virtual machines'],
  ['qemu-img', 'disks'],
  ['bwrap', 'confining imports and machines'],
  ['setpriv', 'processes that end together'],
  ['xorriso', 'CDs with cloud-init and answer files'],
  ['dnsmasq', 'DHCP in module networks'],
  ['ip', 'module networks'],
  ['nft', 'packet filters of module networks'],
  ['openssl', 'certificates of the cluster'],
];

/** Where Debian and Fedora put the two firmwares of OVMF. */
const UEFI = ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_CODE.fd'];
const SECURE_UEFI = [
  '/usr/share/OVMF/OVMF_VARS_4M.ms.fd',
  '/usr/share/OVMF/OVMF_VARS.ms.fd',
  '/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd',
];

const LEAST_NODE = [20, 19] as const;

/** Below this a farm cannot even start, or not keep an image. */
const DISK = { least: 2 ** 30, enough: 10 * 2 ** 30 } as const;

/**
 * Requirements that `slipway doctor` reports as missing stop a farm before it starts: later they would cost a build.
 * @throws ClusterUnfit naming everything that is missing
 */
export function requireMachine(dataDir: string): void {
  const missing = inspectMachine(dataDir).filter(({ state }) => state === 'missing');
  if (missing.length === 0) return;
  const lines = missing.map(({ name, message }) => `  ${name}: ${message}`);
  throw new FarmError('ClusterUnfit', `This machine cannot run a farm yet:\n${lines.join('\n')}`);
}

/** Looks at this machine for what `slipway up` needs, with its data in `dataDir`. */
export function inspectMachine(dataDir: string): Check[] {
  return [
    node(),
    ...PROGRAMS.map(([name, purpose]) => program(name, purpose)),
    forSome('OVMF', UEFI.some(existsSync), ['UEFI firmware', 'modules with efiFirmware']),
    forSome('OVMF secure boot', SECURE_UEFI.some(existsSync), [
      "UEFI firmware that checks signatures, with Microsoft's keys",
      'modules with efiFirmware.secureBoot',
    ]),
    forSome('swtpm', isInstalled('swtpm'), ['TPMs of machines', 'modules with efiFirmware.tpm']),
    confinement(),
    acceleration(),
    rights(),
    disk(dataDir),
  ];
}

function node(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
  return {
    name: 'node',
    state: fits ? 'ok' : 'missing',
    message: `${process.versions.node}, ${LEAST_NODE.join('.')} or newer is needed`,
  };
}

function program(name: string, purpose: string): Check {
  const found = isInstalled(name);
  return { name, state: found ? 'ok' : 'missing', message: found ? purpose : `needed for ${purpose}: npm run setup` };
}

/** `PATH` of the processes of a farm: with the folders of system programs, which some users' own lacks. */
export function searchPath(): string {
  return [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(delimiter);
}

function isInstalled(name: string): boolean {
  return searchPath()
    .split(delimiter)
    .some((folder) => canExecute(join(folder, name)));
}

/** A requirement of some modules only: without it the others are built. */
function forSome(name: string, found: boolean, [purpose, users]: readonly [purpose: string, users: string]): Check {
  const message = found ? purpose : `${users} cannot start: npm run setup`;
  return { name, state: found ? 'ok' : 'limited', message };
}

/** Some containers and hosts forbid the namespaces that confinement is made of. */
function confinement(): Check {
  const view = ['--unshare-pid', '--unshare-net', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev'];
  const { status, stderr } = spawnSync('bwrap', [...view, 'true'], { encoding: 'utf8' });
  if (status === 0)
    return { name: 'confinement', state: 'ok', message: 'imports and machines see only their own files' };
  const why = stderr?.trim() || 'bwrap could not be run';
  const message = `imports and machines run as root and see its files, because namespaces are forbidden here: ${why}`;
  return { name: 'confinement', state: 'limited', message };
}

function acceleration(): Check {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return { name: 'kvm', state: 'ok', message: 'present; the cluster probes whether guests run on it' };
  } catch {
    return { name: 'kvm', state: 'limited', message: 'not usable: machines run emulated, several times slower' };
  }
}

function rights(): Check {
  const root = process.getuid?.() === 0;
  return {
    name: 'root',
    state: root ? 'ok' : 'missing',
    message: root ? 'network namespaces can be made' : 'network namespaces need root: run it with sudo',
  };
}

function disk(dataDir: string): Check {
  const free = freeBytes(dataDir);
  const text = `${(free / 2 ** 30).toFixed(1)} GiB are free for ${dataDir}`;
  if (free >= DISK.enough) return { name: 'disk', state: 'ok', message: text };
  return { name: 'disk', state: free < DISK.least ? 'missing' : 'limited', message: `only ${text}: images need room` };
}

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
