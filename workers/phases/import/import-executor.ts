import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { buildScope } from '../../cluster/build-scope.ts';
import { ensureNetwork } from '../../cluster/ensure-network.ts';
import { inParallel } from '../../cluster/in-parallel.ts';
import { loginKeys } from '../../cluster/login-keys.ts';
import type { PhaseContext, PhaseExecutor } from '../phase-executor.ts';
import { ensureBuildSecrets } from './build-secrets.ts';
import { ensureDisks } from './disks.ts';
import { ProgressLog } from './progress-log.ts';
import { ensureRelays } from './relays.ts';

/**
 * The import phase of one VM: its disks and ISOs filled, and everything of its module that a machine needs to start:
 * networks, relays with their files, key and cloud-init. The VMs of a module do this side by side; what is shared is
 * made once by whoever comes first.
 */
export const importExecutor: PhaseExecutor = {
  phase: 'import',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const log = new ProgressLog(context);
    await inParallel(
      context.signal,
      (signal) => ensureDisks({ ...context, signal }, scope, log),
      async (signal) => {
        const side = { ...context, signal };
        await ensureBuildSecrets(side, scope, await loginKeys(side, scope, scope.vm));
        await ensureNetwork(context.cluster, { scope, clusterConfig: context.clusterConfig, signal });
        await ensureRelays(side, scope);
      },
    );
    return { outcome: 'succeeded' };
  },
};
