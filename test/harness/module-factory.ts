import type { CompiledModule, CompiledVm, Nic } from '../../common/contracts/module/compiled.ts';
import type { ShellStep } from '../../common/contracts/module/steps/shell.ts';

type GivenVm = Partial<CompiledVm>;
type GivenModule = Partial<Omit<CompiledModule, 'vms'>> & { readonly vms?: readonly GivenVm[] };

/** What is known when nothing was found out. */
export const NO_FACTS = { sources: {}, files: {}, objects: {}, secrets: {} };

/** One line below the other, so that positions distinguish modules. */
let line = 0;

/**
 * A compiled module as the parser would give it for a file that contains only what is given here: one VM `main` on a
 * blank disk, on the automatic network.
 */
export function compiledModule(given: GivenModule = {}): CompiledModule {
  line += 1;
  return {
    name: 'base',
    labels: {},
    origin: { file: 'modules.yaml', line, column: 1 },
    files: [],
    httpDirectory: [],
    httpFolder: null,
    network: {
      vpcs: [{ name: 'default', internet: 'always', automatic: true }],
      subnets: [{ name: 'default', vpc: 'default', cidr: '10.0.2.0/24', dhcp: true, dns: [], unmanaged: false }],
    },
    buildOverrides: { vpcs: [], subnets: [], vms: [] },
    timeoutMs: 1_800_000,
    retries: 0,
    isoCacheTtlMs: 86_400_000,
    maxAgeMs: null,
    namespace: null,
    namespacePrefix: 'vm-',
    secrets: [],
    notYetSupported: [],
    ...given,
    vms: (given.vms ?? [{}]).map(compiledVm),
  };
}

/** A compiled VM with the parser's defaults; without disks under `buildRef`, else with one. */
export function compiledVm(given: GivenVm = {}): CompiledVm {
  const inherits = given.source?.kind === 'buildRef';
  return {
    name: 'main',
    source: { kind: 'blank' },
    resources: { cpu: 2, memoryBytes: 4 * 2 ** 30 },
    disks: inherits ? [] : [{ name: 'disk', sizeBytes: 20 * 2 ** 30, bus: 'virtio', storageClass: null }],
    isos: [],
    floppy: [],
    firmware: { kind: 'bios' },
    cpuModel: null,
    machineType: null,
    bootCommand: [],
    cloudInit: null,
    communicator: {
      type: 'ssh',
      shell: 'bash',
      sshUsername: 'root',
      sshPort: 22,
      sshPassword: null,
      sshTimeoutMs: 300_000,
      sshPrivateKeySecret: null,
    },
    nics: [nic()],
    steps: [],
    dependsOn: [],
    shutdownCommand: null,
    shutdownTimeoutMs: 300_000,
    invisible: false,
    ...given,
  };
}

/** A NIC on the automatic subnet. */
export function nic(given: Partial<Nic> = {}): Nic {
  return { name: 'nic1', subnet: 'default', ip: null, mac: null, model: 'e1000', slot: null, ...given };
}

/** A VM's source: a VM of another module, or its only one. */
export function buildRef(module: string, vm: string | null = null): CompiledVm['source'] {
  return { kind: 'buildRef', module, vm, namespace: null, image: null };
}

export function shell(script: string): ShellStep {
  const base = { type: 'shell', name: null, timeoutMs: null, executeCommand: null } as const;
  return { ...base, script, scriptFile: null, scriptFrom: null, env: {} };
}
