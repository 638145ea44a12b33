import type { Duplex, Readable, Writable } from 'node:stream';
import type { DiskPart } from '../../../common/nbd/sparse-stream.ts';
import { ApiError } from '../api-error.ts';

/** A VirtualMachineInstance or a Pod. */
export interface MachineRef {
  readonly namespace: string;
  readonly name: string;
}

/** Where exports of volumes are read, and whose certificates are to be trusted there (PEM). */
export interface ExportAddress {
  readonly url: string;
  readonly authority: string;
}

/** The raw content of a disk. */
export interface ExportedDisk {
  readonly sizeBytes: number;
  /** Writes the bytes from `start` to `end`, both included, and leaves `to` open. */
  stream(to: Writable, part: DiskPart): Promise<void>;
}

/** How the API server gives out the contents of VirtualMachineExports. */
export interface ExportAccess {
  /** Sets the address: links name it from now on. */
  serveAt(address: ExportAddress): void;
  /** The disk of an exported claim. @throws ApiError 401 with another token, 404 when it does not exist */
  open(ref: MachineRef, claim: string, token: string): Promise<ExportedDisk>;
}

/** Which part of a pod's log is read. */
export interface PodLogOptions {
  /** One of the pod's containers, init containers included. */
  readonly container: string;
  /** Follow new output, until the pod ends. */
  readonly follow: boolean;
  /** Begin with so many last lines; everything when absent. */
  readonly tailLines?: number;
  /** Ends the stream. */
  readonly signal: AbortSignal;
}

/**
 * Access of the API server to running machines and pods. Implemented by the controllers; methods reject with an ApiError that the client
 * sees as a Status, such as 404 for an unknown name. Whether the state of the object permits the call has
 * been checked before.
 */
export interface MachineAccess {
  /**
   * Opens the VNC stream (RFB). A machine has one session: a newcomer ends the incumbent, unless
   * `preserveSession` is set, which refuses the newcomer instead.
   */
  openVnc(ref: MachineRef, options: { readonly preserveSession: boolean }): Promise<Duplex>;
  /** Opens the first serial port; one session per machine, a newcomer ends the incumbent. */
  openSerial(ref: MachineRef): Promise<Duplex>;
  /** The screen as a PNG file; does not disturb a VNC session. */
  screenshot(ref: MachineRef): Promise<Buffer>;
  pause(ref: MachineRef): Promise<void>;
  unpause(ref: MachineRef): Promise<void>;
  /** Asks the guest to reboot (ACPI or agent). */
  softReboot(ref: MachineRef): Promise<void>;
  /** Pulls the reset line. */
  reset(ref: MachineRef): Promise<void>;
  /** Connects to a TCP port on the loopback of the pod's network namespace. */
  openPodPort(ref: MachineRef, port: number): Promise<Duplex>;
  /** Output of a container of the pod. */
  podLog(ref: MachineRef, options: PodLogOptions): Promise<Readable>;
  /** Absent: exports are not served. */
  readonly exports?: ExportAccess;
}

/** @throws ApiError 503 on a cluster without machines */
export function requireAccess(access: MachineAccess | undefined): MachineAccess {
  if (access) return access;
  throw new ApiError(503, 'ServiceUnavailable', 'this cluster was started without machines');
}
