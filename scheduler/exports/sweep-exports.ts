import type { Clock } from '../../common/clock/clock.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { ExportService } from './export-service.ts';

const SWEEP_MS = 5 * 60_000;

/** Removes exports that nobody has asked for a while, until `signal` is aborted. */
export async function runExportSweep(
  { exports, clock, logger, retentionMs }: SweepOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await exports.sweep(clock.now() - retentionMs).catch((error: unknown) => {
      logger.warn({ err: error }, 'The sweep of exports has trouble');
    });
    await clock.after(Math.min(SWEEP_MS, Math.max(1_000, retentionMs)), signal).catch(() => undefined);
  }
}

interface SweepOptions {
  readonly exports: ExportService;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Since the last use. */
  readonly retentionMs: number;
}
