import type { KubeObject } from '../api/objects.ts';
import { userFor } from '../host/confinement.ts';
import { killLeftovers } from '../host/processes.ts';
import { shareDirectory } from '../host/shared-directory.ts';
import { checkMachine } from '../qemu/command-line.ts';
import { prepareEfi } from '../qemu/firmware.ts';
import { adoptMachine, launchMachine } from '../qemu/launch.ts';
import type { Machine } from '../qemu/machine.ts';
import type { FirmwareSpec } from '../qemu/machine-spec.ts';
import { startTpm } from '../qemu/tpm.ts';
import type { ClusterNetwork } from './cluster-network.ts';
import { type ControllerContext, hostUser, textKeyOf, uidOf } from './context.ts';
import type { Vmi } from './kubevirt-types.ts';
import { type MachineRegistry, machineRunDir, type RunningMachine } from './machine-registry.ts';
import { assertOffered, machineSpecOf } from './vmi-machine.ts';
import { makeDrives } from './vmi-volumes.ts';

/** Dependencies for starting a machine. */
export interface StarterParts {
  readonly context: ControllerContext;
  readonly machines: MachineRegistry;
  readonly network: ClusterNetwork;
  readonly accelerator: 'kvm' | 'tcg';
  readonly containerDisks: Readonly<Record<string, string>>;
  /** Called with the key of the VMI whenever its machine has changed. */
  readonly onChange: (vmiKey: string) => void;
}

/** Starts the machines of VMIs, and finds those again that run from before. */
export class MachineStarter {
  readonly #parts: StarterParts;

  constructor(parts: StarterParts) {
    this.#parts = parts;
  }

  /** Starts the machine of a VMI. Its claims are reserved first, so that their files are not frozen or cloned meanwhile. */
  async start(vmi: Vmi, claims: ReadonlyMap<string, KubeObject>): Promise<Machine> {
    const { context, machines } = this.#parts;
    assertOffered(vmi);
    const candidate = this.#entry(vmi, claims);
    const conflict = machines.conflictOf(candidate);
    const taken = [...claims.values()].find((claim) => uidOf(claim) === conflict);
    if (taken) throw new Error(`PVC "${taken.metadata.name}" is attached to another machine`);
    const entry = machines.claim(candidate);
    try {
      await context.volumes.settled();
      entry.machine = await this.#launch(vmi, claims);
      return entry.machine;
    } catch (error) {
      machines.release(uidOf(vmi));
      throw error;
    }
  }

  /** Finds the machine of a VMI after a restart of the server; false when it is gone. */
  async adopt(vmi: Vmi, claims: ReadonlyMap<string, KubeObject>): Promise<boolean> {
    const { context, machines, onChange } = this.#parts;
    const machine = await adoptMachine(machineRunDir(context, uidOf(vmi)), {
      clock: context.clock,
      logger: context.logger,
      onChange: () => onChange(textKeyOf(vmi)),
    });
    if (!machine) return false;
    machines.claim(this.#entry(vmi, claims)).machine = machine;
    return true;
  }

  #entry(vmi: Vmi, claims: ReadonlyMap<string, KubeObject>): RunningMachine {
    const isDisc = (drive: string) =>
      vmi.spec.domain.devices.disks?.some(({ name, cdrom }) => name === drive && cdrom !== undefined) ?? false;
    const drives = [...claims].map(([drive, claim]) => [drive, uidOf(claim)] as const);
    const volumes = new Map(drives.filter(([drive]) => !isDisc(drive)));
    const discs = new Set(drives.filter(([drive]) => isDisc(drive)).map(([, uid]) => uid));
    const { namespace, name } = vmi.metadata;
    return { vmi: { namespace, name }, vmiUid: uidOf(vmi), volumes, discs };
  }

  async #launch(vmi: Vmi, claims: ReadonlyMap<string, KubeObject>): Promise<Machine> {
    const { context, accelerator, containerDisks, onChange } = this.#parts;
    const { confiner, clock, logger } = context;
    const runDir = machineRunDir(context, uidOf(vmi));
    const user = userFor(uidOf(vmi));
    // A QEMU that could not be adopted has the disks open.
    await killLeftovers(runDir, clock);
    await shareDirectory(runDir, hostUser(context, vmi));
    const [drives, connected, firmware, tpmSocket] = await Promise.all([
      makeDrives({ context, vmi, claims, directory: runDir, containerDisks }),
      this.#parts.network.connectMachine(vmi),
      firmwareOf(vmi, runDir),
      hasTpm(vmi) ? startTpm({ runDir, confiner, user, clock }) : undefined,
    ]);
    const parts = { runDir, accelerator, firmware, drives, nics: connected.nics };
    const spec = machineSpecOf(vmi, tpmSocket === undefined ? parts : { ...parts, tpmSocket });
    checkMachine(spec);
    return await launchMachine({
      spec,
      ...(connected.namespace === undefined ? {} : { networkNamespace: connected.namespace }),
      confiner,
      user,
      clock,
      logger,
      onChange: () => onChange(textKeyOf(vmi)),
    });
  }
}

function hasTpm({ spec: { domain } }: Vmi): boolean {
  return domain.devices.tpm !== undefined && domain.devices.tpm.enabled !== false;
}

async function firmwareOf(vmi: Vmi, runDir: string): Promise<FirmwareSpec> {
  const efi = vmi.spec.domain.firmware?.bootloader?.efi;
  // KubeVirt: an empty `efi` means secure boot.
  return efi ? await prepareEfi(runDir, efi.secureBoot !== false) : { kind: 'bios' };
}
