import { expect, test } from 'vitest';
import { type FarmState, newId } from '../../test/harness/farm-state.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { useFarmState } from '../../test/harness/use-farm-state.ts';
import { readLayerBuild } from './layer-builds.ts';
import { readLayers } from './layers.ts';
import { readUsage } from './slots.ts';
import type { BuiltModule } from './write-submission.ts';

let farm: FarmState;
useFarmState((opened) => {
  farm = opened;
});

/** As the planner submits what is imported as it is. */
function importedModule(more: { readonly retries?: number } = {}): BuiltModule {
  const module = sampleModule({ name: 'base', layerKey: 'k', layerBuild: newId(), ...more });
  const phases = module.phases.filter(({ phase }) => phase === 'import' || phase === 'snapshot');
  return {
    ...module,
    phases: phases.map(({ vm, phase }) => {
      return { vm, phase, dependsOn: phase === 'snapshot' ? [{ vm, phase: 'import' }] : [] };
    }),
  };
}

/** A cluster that has no room for any machine. */
const FULL = { imports: 1, vms: 1, cpu: 0, memoryBytes: 0 };

test('an import needs no room for a machine, and becomes an image when its disk is there', async () => {
  const { buildId } = await farm.submit([importedModule()]);
  const phases: string[] = [];
  for (let jobs = await farm.take('lab', FULL); jobs.length > 0; jobs = await farm.take('lab', FULL)) {
    const claim = await farm.claim(jobs[0]);
    phases.push(claim.job.phase);
    await farm.succeed(claim);
  }
  expect(phases).toEqual(['import', 'snapshot']);
  expect(await farm.eventsSoFar(buildId)).toContainEqual(
    expect.objectContaining({ event: 'build-finished', outcome: 'succeeded' }),
  );
  expect((await readUsage(farm.redis, 'lab')).slots).toEqual([]);
  const { images } = await readLayers(farm.redis);
  expect(images).toMatchObject([{ module: 'base', version: 1, layerKey: 'k' }]);
  // Nothing was learned of how long its machines take: there were none.
  expect(await farm.redis.hkeys('{farm}:durations')).toEqual(['import/lab']);
});

test('an import that is tried again still needs no room for a machine', async () => {
  const module = importedModule({ retries: 1 });
  await farm.submit([module]);
  const [first] = await farm.take('lab', FULL);
  await farm.succeed(await farm.claim(first));
  const [second] = await farm.take('lab', FULL);
  await farm.fail(await farm.claim(second), 'SnapshotFailed');
  expect((await readLayerBuild(farm.redis, module.layerBuild))?.generation).toBe(2);
  for (let left = 2; left > 0; left -= 1) await farm.succeed(await farm.claim((await farm.take('lab', FULL))[0]));
  expect((await readLayers(farm.redis)).images).toHaveLength(1);
});
