import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** One thing that was looked at. `state` `missing` stops `slipway up`, `limited` costs what `message` says. */
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
  ['xorriso', 'CDs with cloud-init and answer files'],
  ['dnsmasq', 'DHCP in module networks'],
  ['ip', 'module networks'],
  ['nft', 'internet for modules that ask for it'],
  ['openssl', 'certificates of the cluster'],
];

const OVMF = '/usr/share/OVMF';
const LEAST_NODE = [20, 19] as const;

/** Looks at this machine for what `slipway up` needs. */
export function inspectMachine(): Check[] {
  return [node(), ...PROGRAMS.map(([name, purpose]) => program(name, purpose)), uefi(), acceleration(), rights()];
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
  const found = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) =>
    canExecute(join(folder, name)),
  );
  return { name, state: found ? 'ok' : 'missing', message: found ? purpose : `needed for ${purpose}: npm run setup` };
}

function uefi(): Check {
  const found = existsSync(OVMF);
  return {
    name: 'OVMF',
    state: found ? 'ok' : 'limited',
    message: found ? 'UEFI firmware' : 'modules with efiFirmware cannot boot: npm run setup',
  };
}

function acceleration(): Check {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return { name: 'kvm', state: 'ok', message: 'there; the cluster probes whether guests really run on it' };
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

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
