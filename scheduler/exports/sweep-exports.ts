import type { Clock } from '../../common/clock/clock.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { ExportService } from './export-service.ts';

const SWEEP_MS = 5 * 60_000;

/** Removes exports that were not asked for in a while, until `signal` is aborted. */
export function runExportSweep(
  { exports, clock, logger, retentionMs }: SweepOptions,
  signal: AbortSignal,
): Promise<void> {
  const look = async () => {
    await exports.sweep(clock.now() - retentionMs);
    return null;
  };
  const everyMs = Math.min(SWEEP_MS, Math.max(1_000, retentionMs));
  return lookAgain({ what: 'Sweeping exports', look, everyMs, clock, logger }, signal);
}

interface SweepOptions {
  readonly exports: ExportService;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Since the last use. */
  readonly retentionMs: number;
}
