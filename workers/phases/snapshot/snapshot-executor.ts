import type { LayerVm } from '../../../common/contracts/layers.ts';
import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { assert } from '../../../common/errors/farm-error.ts';
import { inParallel } from '../../../common/lifecycle/in-parallel.ts';
import { timed } from '../../../common/metrics/timed.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import type { PhaseContext, PhaseExecutor } from '../../context/phase-context.ts';
import { captureDisks, ensureTemplate } from './capture.ts';
import { type GuestShutdown, noteEnd, shutDown } from './shutdown.ts';

/**
 * The snapshot phase of one VM: a clean shutdown, a snapshot of every disk, a halted template VM. That is the layer, and
 * the phase ends with it: what existed for building only is removed by the scheduler's sweep, which the end of the
 * layer build wakes, while the children of the layer already start. An unchanged import has no machine to shut down.
 */
export function createSnapshotExecutor(askGuest?: GuestShutdown): PhaseExecutor {
  return {
    phase: 'snapshot',
    execute: async (context: PhaseContext): Promise<PhaseResult> => {
      const scope = buildScope(context);
      const hasMachine = !scope.spec.module.imported;
      if (hasMachine) await shutDown(context, scope, askGuest);
      let layerVm: LayerVm | undefined;
      await inParallel(
        context.signal,
        async (signal) => {
          const side = { ...context, signal };
          const captured = await timed(side, context.metrics.snapshotDuration, () => captureDisks(side, scope));
          layerVm = { ...captured, ...(await ensureTemplate(side, scope, captured)) };
        },
        async (signal) => {
          if (hasMachine) await noteEnd({ ...context, signal }, scope);
        },
      );
      assert(layerVm, 'What was captured without an error is there.');
      return { outcome: 'succeeded', layerVm };
    },
  };
}
