import { expect, test } from 'vitest';
import { secretReference } from '../../common/contracts/module/secret-text.ts';
import { attemptPlace } from '../../common/redis/handbuilds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { layerRecord } from '../../test/harness/layer-factory.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { provenanceOf } from './provenance.ts';

const HEX = 'ab'.repeat(32);
const IMAGE = { module: 'web', version: 3, layerKey: 'k', namedAt: '2026-06-01T00:00:00.000Z', by: 'ci' };
const NOW = Date.parse('2026-06-01T00:00:00.000Z');

/** A layer build whose only step failed, was mended by a person, and was run again. */
function mendedLayerBuild(): StoredLayerBuild {
  const { spec } = sampleModule({ name: 'web', layerKey: 'k', layerBuild: 'lb' });
  const [vm] = spec.module.vms;
  const [plan] = spec.vms;
  const [disk] = plan?.disks ?? [];
  if (!vm || !plan || !disk) throw new Error('The sample has a VM with a disk.');
  const inline = [`login ${secretReference('token')}`];
  const step = { type: 'shell', name: 'setup', inline } as unknown as (typeof vm.steps)[number];
  const origin = { kind: 'image' as const, image: `quay.io/x@sha256:${HEX}`, identity: `image:sha256:${HEX}` };
  const isos = [{ url: 'https://x.test/a.iso', checksum: { algorithm: 'sha512' as const, hex: 'cd' }, identity: null }];
  const ended = (outcome: string, attempt?: number) => ({
    ...{ event: 'step-finished', module: 'web', vm: 'vm', step: 0, name: 'setup', type: 'shell', outcome },
    ...{ exitCode: 1, durationMs: 1000, ...(attempt === undefined ? {} : { attempt }) },
  });
  const at = (seconds: number, event: unknown = {}) => ({ at: NOW + seconds * 1000, event });
  return {
    ...{ id: 'lb', state: 'succeeded', generation: 1, cluster: 'lab', finishedAt: null, runUntil: null, failure: null },
    spec: {
      ...spec,
      module: { ...spec.module, vms: [{ ...vm, steps: [step] }] },
      vms: [{ ...plan, disks: [{ ...disk, origin }], isos }],
      fileHashes: { 'https://x.test/setup.sh': HEX },
    },
    phases: new Map([['vm/import', { state: 'succeeded', attempts: 1, dispatch: 1, startedAt: NOW - 60_000 }]]),
    failures: new Map(),
    steps: new Map([
      ['vm/0/step-started', at(0)],
      ['vm/0/step-finished', at(1, ended('failed'))],
      [`vm/${attemptPlace(0, 1)}/step-started`, at(60)],
      [`vm/${attemptPlace(0, 1)}/step-finished`, at(61, ended('succeeded', 1))],
    ]),
    screens: new Set(),
  };
}

test('names every source with its digest, and every run of every step', () => {
  const record = layerRecord({ layerKey: 'k', parents: ['p', 'gone'], recipeKey: 'r+by-hand' });
  const parents = [{ ...IMAGE, module: 'base', version: 7, layerKey: 'p' }];
  const { predicate } = provenanceOf({ image: IMAGE, record, parents, stored: mendedLayerBuild(), version: '1.2.3' });
  expect(predicate.buildDefinition.resolvedDependencies).toEqual([
    { uri: 'slipway:base:7', digest: { slipwayLayer: 'p' } },
    { uri: 'slipway:gone', digest: { slipwayLayer: 'gone' } },
    { uri: `docker://quay.io/x@sha256:${HEX}`, digest: { sha256: HEX } },
    { uri: 'https://x.test/a.iso', digest: { sha512: 'cd' } },
    { uri: 'https://x.test/setup.sh', digest: { sha256: HEX } },
  ]);
  const run = { vm: 'vm', step: 0, name: 'setup', type: 'shell' };
  expect(predicate.runDetails).toMatchObject({
    builder: { version: { slipway: '1.2.3' } },
    metadata: { startedOn: '2026-05-31T23:59:00.000Z' },
    slipway_changedByHand: true,
    slipway_steps: [
      { ...run, attempt: 0, outcome: 'failed', finishedOn: '2026-06-01T00:00:01.000Z' },
      { ...run, attempt: 1, outcome: 'succeeded', startedOn: '2026-06-01T00:01:00.000Z' },
    ],
  });
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the module text names a secret so.
  expect(JSON.stringify(predicate.buildDefinition.externalParameters)).toContain('login ${secret.token}');
});
