import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { changeSecrets } from '../planning/seal-modules.ts';

/**
 * The modules of a build that has ended and that did not succeed in it, as they were submitted; parents first. `open` opens
 * the sealed values.
 * @throws InvalidRequest when every module succeeded, NotFound when the farm no longer keeps it
 */
export function modulesToRetry(
  build: StoredBuild,
  layerBuilds: ReadonlyMap<string, StoredLayerBuild>,
  open: (sealed: string) => string,
): CompiledModule[] {
  const { id, run, finishedAt, modules, results } = build;
  if (run !== null) throw refused(`${id} is a clone of ${run}: \`slipway run\` starts another one.`);
  if (finishedAt === null) throw refused(`The build ${id} has not ended yet.`);
  const failed = modules.filter(({ name }) => results.get(name)?.outcome !== 'succeeded');
  if (failed.length === 0) throw refused(`Every module of the build ${id} has succeeded.`);
  return failed.map(({ name, layerBuild = '' }) => {
    const stored = layerBuilds.get(layerBuild);
    if (!stored) {
      const solve = 'Submit its modules again with `slipway build`.';
      throw new FarmError('NotFound', `The submission of "${name}" is no longer kept.`, { details: { solve } });
    }
    // A layer build that several builds share has the name of the first one.
    return changeSecrets({ ...stored.spec.module, name }, open);
  });
}

function refused(message: string): FarmError {
  return new FarmError('InvalidRequest', message);
}
