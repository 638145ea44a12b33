import type { PhaseResult } from '../../../common/contracts/phase-store.ts';
import { inParallel } from '../../../common/lifecycle/in-parallel.ts';
import { buildScope, builtWithoutInternet } from '../../cluster/build-scope.ts';
import { loginKeys } from '../../cluster/login-keys.ts';
import type { PhaseContext, PhaseExecutor } from '../../context/phase-context.ts';
import { areUsedAtBoot, ensureServices } from '../../networks/network-services.ts';
import { networkOf } from '../../networks/networks.ts';
import { ensureBuildSecrets } from './build-secrets.ts';
import { ensureDisks } from './disks.ts';
import { ProgressLog } from './progress-log.ts';

/**
 * The import phase of one VM: its disks and ISOs filled, and everything of its module that a machine needs to start:
 * networks, key and cloud-init. Ways out start as well. They are waited for, and relays are made, only where guests use them at
 * boot: else a relay starts beside the machine, and leaves the import the processor. The VMs of a module do this side by side; shared
 * objects are made once, by the first VM that needs them. An image that is imported unchanged needs its disks only.
 */
export const importExecutor: PhaseExecutor = {
  phase: 'import',
  execute: async (context: PhaseContext): Promise<PhaseResult> => {
    const scope = buildScope(context);
    const { cluster } = context;
    const log = new ProgressLog(context);
    if (scope.spec.module.imported) {
      await ensureDisks(context, scope, log);
      return { outcome: 'succeeded' };
    }
    if (builtWithoutInternet(scope.spec))
      log.write(`No internet here: the cluster "${cluster.name}" has no externalSubnet.`);
    await inParallel(
      context.signal,
      (signal) => ensureDisks({ ...context, signal }, scope, log),
      async (signal) => {
        const side = { ...context, signal };
        await ensureBuildSecrets(side, scope, await loginKeys(side, scope, scope.vm));
      },
      async (signal) => {
        const side = { ...context, signal };
        const network = networkOf(scope.spec);
        await network.ensure(side, scope);
        if (areUsedAtBoot(scope.spec)) await ensureServices(side, scope);
        else await network.requestWaysOut(side, scope);
      },
    );
    return { outcome: 'succeeded' };
  },
};
