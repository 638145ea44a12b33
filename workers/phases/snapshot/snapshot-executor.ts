import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../../common/kubernetes/teardown.ts';
import { type BuildScope, buildScope } from '../../cluster/build-scope.ts';
import { timed } from '../../runtime/timed.ts';
import type { PhaseContext, PhaseExecutor } from '../phase-executor.ts';
import { captureDisks, ensureTemplate } from './capture.ts';
import { type GuestShutdown, shutDown } from './shutdown.ts';

const TEARDOWN_MS = 120_000;

/**
 * The snapshot phase of one VM: a clean shutdown, a snapshot of every disk, a halted template VM. The template is made
 * last, so where it stands all is captured; the VM that finds the templates of all its siblings removes what existed for
 * building only.
 */
export function createSnapshotExecutor(askGuest?: GuestShutdown): PhaseExecutor {
  return {
    phase: 'snapshot',
    execute: async (context: PhaseContext): Promise<PhaseResult> => {
      const scope = buildScope(context);
      const template = scope.names.template(scope.vm.name);
      const isCaptured = await context.cluster.get(RESOURCES.machines, template, { signal: context.signal });
      if (!isCaptured) await shutDown(context, scope, askGuest);
      const layerVm = await timed(context, context.metrics.snapshotDuration, () => captureDisks(context, scope));
      await ensureTemplate(context, scope, layerVm);
      if (await areAllCaptured(context, scope)) await removeBuildOnly(context, scope);
      return { outcome: 'succeeded', layerVm };
    },
  };
}

async function areAllCaptured({ cluster, signal }: PhaseContext, { spec, names }: BuildScope): Promise<boolean> {
  for (const { name } of spec.vms) {
    if (!(await cluster.get(RESOURCES.machines, names.template(name), { signal }))) return false;
  }
  return true;
}

/** The layer is complete whether or not this succeeds: what stays behind is the sweeper's. */
async function removeBuildOnly(context: PhaseContext, { identity, farm }: BuildScope): Promise<void> {
  const { cluster, store, claim, signal, logger } = context;
  await store.assertCurrent(claim);
  try {
    await teardownBuild(cluster, { farm, identity, signal, deadlineMs: TEARDOWN_MS });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FarmError)) throw error;
    logger.warn({ err: error }, 'Some build objects were not removed; the sweeper will');
  }
}
