import type { Phase } from '../common/contracts/phases.ts';
import type { PhaseExecutor } from './context/phase-context.ts';
import { guestShutdown } from './guest/shutdown.ts';
import { bootExecutor } from './phases/boot-keystrokes/boot-executor.ts';
import { importExecutor } from './phases/import/import-executor.ts';
import { provisionExecutor } from './phases/provision/provision-executor.ts';
import { createSnapshotExecutor } from './phases/snapshot/snapshot-executor.ts';
import { withLogging } from './runtime/decorators.ts';
import { withScreenshot } from './runtime/with-screenshot.ts';
import { withSerialLog } from './runtime/with-serial-log.ts';

/** The executor of each phase, as a worker process runs it. */
export const EXECUTORS: Readonly<Record<Phase, PhaseExecutor>> = {
  import: withLogging(importExecutor),
  'boot-keystrokes': withLogging(withScreenshot(withSerialLog(bootExecutor))),
  provision: withLogging(withScreenshot(withSerialLog(provisionExecutor))),
  snapshot: withLogging(withSerialLog(createSnapshotExecutor(guestShutdown))),
};
