/** Limits on the guest output that the farm reads and keeps, in bytes. */
export interface LogLimits {
  /** Taken of the output of one step; the rest of it is left out. */
  readonly step: number;
  /** Output that is read of one step per second; further output waits in the guest. */
  readonly perSecond: number;
  /** Kept of the log of a layer build; its beginning goes first. */
  readonly layer: number;
  /** Kept of all logs and serial ports together; those of the builds that ended first go first. */
  readonly total: number;
}

const MIB = 1024 ** 2;

export const DEFAULT_LOG_LIMITS: LogLimits = {
  step: 64 * MIB,
  perSecond: 2 * MIB,
  layer: 16 * MIB,
  total: 256 * MIB,
};
