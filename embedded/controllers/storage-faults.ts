import type { Machine } from '../qemu/machine.ts';
import { type ControllerContext, uidOf } from './context.ts';
import type { Vmi } from './kubevirt-types.ts';

/** virt-handler's: the first try comes at once, later ones after a growing delay. */
const FIRST_DELAY_MS = 10_000;
const LAST_DELAY_MS = 180_000;
/** A fault that comes later than this after a try is a new one. */
const RELATED_MS = 30_000;

/** The next, or the last, try to let a machine continue. */
interface Try {
  /** The fault that it is for: `Machine.ioErrors`. */
  readonly fault: number;
  readonly at: number;
  readonly delayMs: number;
}

/**
 * Machines that stand still because their storage failed: the Events of virt-launcher, and virt-handler's tries to let them
 * continue, which succeed once there is space.
 */
export class StorageFaults {
  readonly #context: ControllerContext;
  readonly #tries = new Map<string, Try>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Reports a fault that is new. Returns how long to wait before the next try; 0: now. */
  async report(vmi: Vmi, machine: Machine): Promise<number> {
    const { clock, events } = this.#context;
    const now = clock.now();
    const last = this.#tries.get(uidOf(vmi));
    if (last?.fault === machine.ioErrors) return Math.max(0, last.at - now);
    const drives = await machine.drives((vmi.spec.volumes ?? []).map(({ name }) => name));
    for (const [volume, { ioStatus }] of drives) {
      const why = ioStatus === 'nospace' ? 'not enough space on volume' : 'IO error at the volume';
      if (ioStatus === 'ok') continue;
      events.record(vmi, { type: 'Warning', reason: 'IOerror', message: `VM Paused due to ${why}: ${volume}` });
    }
    const isRelated = last !== undefined && now - last.at < RELATED_MS;
    const delayMs = isRelated ? Math.min(LAST_DELAY_MS, Math.max(FIRST_DELAY_MS, 2 * last.delayMs)) : 0;
    const at = isRelated ? last.at + delayMs : now;
    this.#tries.set(uidOf(vmi), { fault: machine.ioErrors, at, delayMs });
    return Math.max(0, at - now);
  }

  forget(vmiUid: string): void {
    this.#tries.delete(vmiUid);
  }
}
