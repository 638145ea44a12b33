import { expect, test } from 'vitest';
import type { JobReference, Phase } from '../../common/contracts/phases.ts';
import type { BuiltModule } from '../../common/redis/write-submission.ts';
import { sampleModule } from '../harness/sample-spec.ts';
import { Ledger } from './ledger.ts';
import type { SimulatedCluster } from './scenario.ts';

const HOUR = 3_600_000;

function moduleOf(id: string): BuiltModule {
  return sampleModule({ name: id, layerKey: id, layerBuild: id, cluster: 'lab' });
}

function job({ layerBuild, spec }: BuiltModule, phase: Phase): JobReference {
  return { layerBuild, generation: 1, vm: spec.vms[0]?.name ?? '', phase, dispatch: 1 };
}

test('a machine whose phase is begun a second time holds one slot, and owners that hold the same share fairly', () => {
  const builds = new Map(['ann', 'bob'].map((owner) => [owner, [1, 2].map((index) => moduleOf(`${owner}${index}`))]));
  const limits = { imports: 4, vms: 2, cpu: 2, memoryBytes: 2 * 1024 ** 3 };
  const cluster: SimulatedCluster = { name: 'lab', limits, outage: null, builds };
  const ledger = new Ledger({ clusters: [cluster], times: new Map(), random: () => 0 });
  const firsts = [...builds.values()].flatMap(([first]) => first ?? []);
  for (const module of [...builds.values()].flat()) ledger.ended(job(module, 'import'), 0);
  for (const module of firsts) ledger.began(job(module, 'boot-keystrokes'), 0);
  // The worker of one was lost.
  for (const module of firsts.slice(1)) ledger.began(job(module, 'boot-keystrokes'), HOUR);
  for (const module of firsts) ledger.freed(job(module, 'snapshot'), 3 * HOUR);
  expect(ledger.report(3 * HOUR, 0).fairness).toEqual({ mean: 1, least: 1, clusters: 1 });
});
