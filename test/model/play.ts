import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { readPastEvents } from '../../common/redis/event-streams.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { movingKeys } from '../harness/moving-keys.ts';
import type { ModelFarm } from './model-farm.ts';
import { modulesOf, type Scenario, scenarios } from './scenario.ts';
import { World } from './world.ts';

/** After any events in any order, limits hold, layer builds end as they must, and every module of every build ends exactly once. */
export function property(farm: ModelFarm) {
  return fc.asyncProperty(scenarios, (scenario) => play(farm, scenario));
}

async function play(farm: ModelFarm, { modules, happenings, reasons }: Scenario): Promise<void> {
  await farm.reset();
  const graph = modulesOf(modules);
  const world = new World(farm, { graph, reasons });
  await world.submit(graph.length);
  farm.loseNextAnswer();
  await world.submit(graph.length);
  assert.equal(await farm.calm.scard(KEYS.living), graph.length, 'Both builds want the same layer builds.');
  for (const [happening, pick] of happenings) {
    await world.happen(happening, pick);
    await world.check();
  }
  await world.drain();
  for (const { id, modules: expected } of world.builds) {
    const ended = await endings(farm, id);
    const reported = ended.filter((event) => event.event === 'module-finished');
    const last = ended.at(-1);
    assert(last?.event === 'build-finished' && last.modules.length === expected.length, 'A build has not ended whole.');
    assert.deepEqual(reported.map((event) => event.module).sort(), [...expected].sort());
    const isCancelled = reported.some((event) => event.outcome === 'cancelled');
    assert(!isCancelled || world.cancelled.has(id), 'A module was cancelled that a build wants.');
  }
  const layers = [...(await readLayers(farm.calm)).layers.values()];
  const states = await Promise.all(world.layerBuilds.map(({ id }) => farm.calm.hget(KEYS.layerBuild(id), 'state')));
  const built = world.layerBuilds.filter((_, index) => states[index] === 'succeeded').map(({ name }) => name);
  assert.deepEqual(layers.map((layer) => layer.module).sort(), built.sort());
  assert(
    layers.every((layer) => layer.version === 1),
    'A layer was registered twice.',
  );
  assert.deepEqual(await movingKeys(farm.calm), []);
}

type Ended = Extract<FarmEvent, { event: 'module-finished' | 'build-finished' }>;

async function endings({ calm }: ModelFarm, buildId: string): Promise<Ended[]> {
  const events: Ended[] = [];
  for await (const event of readPastEvents(calm, { buildId, lastEventId: '0' })) {
    if (event.event === 'module-finished' || event.event === 'build-finished') events.push(event);
  }
  return events;
}
