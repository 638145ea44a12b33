import type { Duplex, Readable } from 'node:stream';
import { ApiError } from '../api-error.ts';

/** A VirtualMachineInstance or a Pod. */
export interface MachineRef {
  readonly namespace: string;
  readonly name: string;
}

/** As whom the servers of this cluster listen. */
export interface ServerIdentity {
  readonly host: string;
  /** Private key and certificate of the server, PEM. */
  readonly key: string;
  readonly certificate: string;
  /** The authority that signed it, PEM; clients trust this. */
  readonly authority: string;
}

/** The contents of VirtualMachineExports are served beside the API. */
export interface ExportAccess {
  /** Begins to serve them. */
  serveAs(identity: ServerIdentity): void;
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
