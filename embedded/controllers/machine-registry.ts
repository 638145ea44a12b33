import { FarmError } from '../../common/errors/farm-error.ts';
import type { ObjectKey } from '../api/objects.ts';
import { type HostLayout, runDirOf, shortHash } from '../host/layout.ts';
import type { Machine } from '../qemu/machine.ts';
import type { SwitchToOverlay } from '../storage/volumes.ts';

/** A machine, from the moment on which its start was decided. */
export interface RunningMachine {
  readonly vmi: ObjectKey;
  readonly vmiUid: string;
  /** Uid of the volume by drive name, for drives that are written to. */
  readonly volumes: ReadonlyMap<string, string>;
  /** Uids of the volumes that are only read: discs, which several machines may have. */
  readonly discs: ReadonlySet<string>;
  /** Absent while it is being started. */
  machine?: Machine;
}

/** Which machines run, and which volumes they have open. In memory: filled again from the processes after a restart. */
export class MachineRegistry {
  readonly #machines = new Map<string, RunningMachine>();
  readonly #listeners: (() => void)[] = [];

  /** Calls the listener whenever a machine has let go of its volumes. */
  onRelease(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Records that a machine is about to open volumes; no other user may touch their files from now on. */
  claim(entry: RunningMachine): RunningMachine {
    const known = this.#machines.get(entry.vmiUid);
    if (known) return known;
    this.#machines.set(entry.vmiUid, entry);
    return entry;
  }

  /** The machine has ended, or was never started. */
  release(vmiUid: string): void {
    this.#machines.delete(vmiUid);
    for (const listener of this.#listeners) listener();
  }

  get(vmiUid: string): Machine | undefined {
    return this.#machines.get(vmiUid)?.machine;
  }

  all(): readonly RunningMachine[] {
    return [...this.#machines.values()];
  }

  /** Whether a machine has the volume open, if only for reading, or is about to. */
  isInUse(volume: string): boolean {
    return this.#writerOf(volume) !== undefined || this.all().some(({ discs }) => discs.has(volume));
  }

  /** Why the volumes of a machine cannot be attached to it: a disk has one writer, and then no readers. */
  conflictOf(candidate: RunningMachine): string | undefined {
    const others = this.all().filter(({ vmiUid }) => vmiUid !== candidate.vmiUid);
    const written = new Set(others.flatMap(({ volumes }) => [...volumes.values()]));
    const read = new Set(others.flatMap(({ discs }) => [...discs]));
    return (
      [...candidate.discs].find((volume) => written.has(volume)) ??
      [...candidate.volumes.values()].find((volume) => written.has(volume) || read.has(volume))
    );
  }

  /** Whether a machine writes to the volume or is about to. */
  isWritten(volume: string): boolean {
    return this.#writerOf(volume) !== undefined;
  }

  /**
   * How to move the machine that has the volume open to an overlay; undefined when none has.
   * @throws FarmError `BrokenInvariant` when the machine is only being started: ask again later
   */
  switchFor(volume: string, layer: string): SwitchToOverlay | undefined {
    const user = this.#writerOf(volume);
    if (!user) return undefined;
    const { machine, volumes } = user;
    if (!machine) throw new FarmError('BrokenInvariant', `The machine "${user.vmi.name}" is being started`);
    const drive = [...volumes].find(([, uid]) => uid === volume)?.[0] ?? '';
    return async (overlay) => await switchDrive(machine, { drive, overlay, layer });
  }

  /** @throws FarmError `BrokenInvariant` when a machine writes to the volume or is about to */
  assertUnused(volume: string): undefined {
    if (this.#writerOf(volume)) throw new FarmError('BrokenInvariant', `A machine writes to the volume "${volume}"`);
    return undefined;
  }

  #writerOf(volume: string): RunningMachine | undefined {
    return this.all().find(({ volumes }) => [...volumes.values()].includes(volume));
  }
}

/** QEMU's file names are those at opening time, hence the layer is recognised by the name of the node above it. */
async function switchDrive(
  machine: Machine,
  { drive, overlay, layer }: { drive: string; overlay: string; layer: string },
): Promise<void> {
  const above = `above-${shortHash(layer, 16)}`;
  const { node } = (await machine.drives([drive])).get(drive) ?? {};
  if (node === undefined) throw new FarmError('BrokenInvariant', `The machine has no drive "${drive}"`);
  if (node === above) return;
  await machine.qmp.execute('blockdev-snapshot-sync', {
    'node-name': node,
    'snapshot-file': overlay,
    'snapshot-node-name': above,
    format: 'qcow2',
    mode: 'existing',
  });
}

/** Sockets, discs and logs of the machine of a VMI. */
export function machineRunDir({ layout }: { readonly layout: HostLayout }, vmiUid: string): string {
  return runDirOf(layout, 'machines', vmiUid);
}
