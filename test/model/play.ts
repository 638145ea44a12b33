import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { readPastEvents } from '../../common/redis/event-streams.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { newId } from '../harness/farm-state.ts';
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
  const builds = [newId(), newId()];
  for (const buildId of builds) {
    const isFirst = buildId === builds[0];
    const again = graph.map((module) => ({ ...module, layerBuild: isFirst ? module.layerBuild : newId() }));
    if (!isFirst) farm.loseNextAnswer();
    const request = { buildId, idempotencyKey: null, digest: '', retentionMs: 3_600_000, modules: again };
    assert.equal((await submitBuild(farm.unlucky, request)).outcome, 'accepted');
  }
  assert.equal(await farm.calm.scard(KEYS.living), graph.length, 'Both builds want the same layerBuilds.');
  const world = new World(farm, { graph, builds, reasons });
  for (const [happening, pick] of happenings) {
    await world.happen(happening, pick);
    await world.check();
  }
  await world.drain();
  for (const buildId of builds) {
    const ended = await endings(farm, buildId);
    const told = ended.filter((event) => event.event === 'module-finished');
    const last = ended.at(-1);
    assert(last?.event === 'build-finished' && last.modules.length === graph.length, 'A build has not ended whole.');
    assert.deepEqual(told.map((event) => event.module).sort(), graph.map((module) => module.name).sort());
    const isCancelled = told.some((event) => event.outcome === 'cancelled');
    assert(!isCancelled || world.cancelled.has(buildId), 'A module was cancelled that a build wants.');
  }
  const layers = [...(await readLayers(farm.calm)).layers.values()];
  const states = await Promise.all(graph.map((module) => farm.calm.hget(KEYS.layerBuild(module.layerBuild), 'state')));
  const built = graph.filter((_, index) => states[index] === 'succeeded').map((module) => module.name);
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
