import { inParallel } from '../../common/lifecycle/in-parallel.ts';
import type { ModuleScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { servedFiles } from '../files/module-files.ts';
import { networkOf } from './networks.ts';
import { ensureRelays } from './relays.ts';

/**
 * Whether the guests of a module may use its relays (names, files) or its egress as soon as they run: their configuration requires
 * them to. If not, the farm itself is the first user, and machines start in parallel with these services.
 */
export function areUsedAtBoot({ module }: ModuleScope['spec']): boolean {
  const instructed = module.vms.some(
    ({ bootCommand, isos, floppy, cloudInit }) =>
      bootCommand.length > 0 ||
      isos.length > 0 ||
      floppy.length > 0 ||
      (cloudInit?.userData ?? cloudInit?.userDataFrom ?? null) !== null,
  );
  return instructed || servedFiles(module).length > 0;
}

/** Makes the relays and ways out of a module, or adopts them: they answer, and the files of `httpDirectory` are there. */
export async function ensureServices(context: PhaseContext, scope: ModuleScope): Promise<void> {
  await inParallel(
    context.signal,
    (signal) => networkOf(scope.spec).ensureWaysOut({ ...context, signal }, scope),
    (signal) => ensureRelays({ ...context, signal }, scope),
  );
}
