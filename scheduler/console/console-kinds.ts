import type { ConsoleFront } from '../../common/console/console-front.ts';
import { SharedConsole } from '../../common/console/shared-console.ts';
import { SharedSerial } from '../../common/console/shared-serial.ts';

/** One of the consoles that a machine has. */
export interface ConsoleKind {
  /** KubeVirt's subresource. */
  readonly stream: 'vnc' | 'console';
  /** Its name in leases and links. */
  leaseOf(machine: string): string;
  createFront(onViewers: (count: number) => void): ConsoleFront;
  /**
   * Whether a session that others have is left to them. KubeVirt's serial console knows no such wish: a newcomer ends the
   * incumbent. So a viewer who lost it to a client outside of the farm lets it go, or the two would evict each other.
   */
  readonly isPreserving: boolean;
}

export const SCREEN: ConsoleKind = {
  stream: 'vnc',
  leaseOf: (machine) => machine,
  createFront: (onViewers) => new SharedConsole(onViewers),
  isPreserving: true,
};

export const SERIAL: ConsoleKind = {
  stream: 'console',
  leaseOf: (machine) => `${machine}/serial`,
  createFront: (onViewers) => new SharedSerial(onViewers),
  isPreserving: false,
};
