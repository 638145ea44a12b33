import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Failure } from '../../common/contracts/failures.ts';
import { machineName } from '../../common/contracts/object-names.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { collect, type LiveApi, MODULES, startApi } from './live-api.ts';

const FAILURE: Failure = {
  ...{ reason: 'SnapshotFailed', message: 'the pool is full', screenshot: false },
  ...{ logTail: [], serialTail: [], events: [], hints: [] },
};
const GOES_ON = expect.stringContaining('continues with its snapshot phase');
let api: LiveApi;

beforeAll(async () => {
  api = await startApi();
});

beforeEach(() => api.reset());

afterAll(() => api.close());

/** A build of which `base` has failed in a phase, so that `child` was skipped. */
async function failIn(phase: Phase): Promise<{ readonly buildId: string; readonly claim: PhaseClaim }> {
  const { buildId } = await api.client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  const claim = await api.work({ until: phase });
  if (!claim) throw new Error(`The build has a phase ${phase}.`);
  await api.store.commit(claim, { outcome: 'failed', failure: FAILURE });
  expect((await api.client.build(buildId)).state).toBe('failed');
  return { buildId, claim };
}

/** What the cluster has kept of the machine of a claim. */
function keepMachine({ job }: PhaseClaim, annotations: Record<string, string>): void {
  api.keepMachine(machineName(job, job.vm), annotations);
}

test('a build that failed in its last phase continues there, once, and what is based on it is built', async () => {
  const { buildId, claim } = await failIn('snapshot');
  keepMachine(claim, { 'slipway.dev/shutdown-ended': 'Succeeded' });
  const retried = await api.client.retry(buildId);
  expect(retried.plan.modules).toMatchObject([
    { name: 'base', action: 'build', why: GOES_ON },
    { name: 'child', action: 'build' },
  ]);
  // Nothing else of it is kept either: no key of its record may go before it has ended again.
  const { layerBuild } = claim.job;
  expect(await api.redis.pttl(KEYS.layerBuild(layerBuild))).toBe(-1);
  const executed: string[] = [];
  await api.work({
    onClaim: ({ job }) => executed.push(`${job.layerBuild === layerBuild ? 'base' : 'child'} ${job.phase}`),
  });
  const ofChild = ['import', 'boot-keystrokes', 'provision', 'snapshot'].map((phase) => `child ${phase}`);
  expect(executed).toEqual(['base snapshot', ...ofChild]);
  const build = await api.client.build(retried.buildId);
  expect(build.state).toBe('succeeded');
  expect(build.modules[0]).toMatchObject({ why: GOES_ON, layerBuild, failure: null });
  const events = await collect(api.client.pastEvents(retried.buildId));
  expect(events.filter(({ event }) => event === 'module-started' || event === 'module-finished')).toMatchObject([
    ...[{ module: 'base' }, { module: 'base', outcome: 'succeeded' }],
    ...[{ module: 'child' }, { module: 'child', outcome: 'succeeded' }],
  ]);
  expect(events).toContainEqual(expect.objectContaining({ event: 'phase-started', module: 'base', attempt: 1 }));
  expect(await api.client.images.read('base')).toMatchObject({ version: 1, layerBuild });
  // The first build keeps what became of it.
  const former = await api.client.build(buildId);
  expect([former.state, former.modules[0]?.failure?.reason]).toEqual(['failed', 'SnapshotFailed']);
  await expect(api.client.retry(retried.buildId)).rejects.toThrow('has succeeded');
});

test.each([
  ['provision', {}, 'its disks have changed since its phase provision began'],
  ['snapshot', {}, 'no sign that vm shut down cleanly'],
] as const)('a build that failed in %s starts again where %o is all that is left', async (phase, annotations, why) => {
  const { buildId, claim } = await failIn(phase);
  keepMachine(claim, annotations);
  const { plan } = await api.client.retry(buildId);
  expect(plan.modules[0]).toMatchObject({ name: 'base', action: 'build', why: `from the start: ${why}` });
  const [first] = await api.startReady();
  expect(first?.job).toMatchObject({ phase: 'import', generation: 1 });
  expect(first?.job.layerBuild).not.toBe(claim.job.layerBuild);
});

test('a second retry joins the running layer build', async () => {
  const { buildId, claim } = await failIn('snapshot');
  keepMachine(claim, { 'slipway.dev/shutdown-ended': 'Succeeded' });
  const again = await api.client.retry(buildId);
  const other = await api.client.retry(buildId);
  expect([again, other].map(({ plan }) => plan.modules[0]?.action)).toEqual(['build', 'join']);
  await api.work();
  for (const id of [again.buildId, other.buildId]) expect((await api.client.build(id)).state).toBe('succeeded');
});

test('nothing continues with disks that are about to be removed', async () => {
  const { buildId, claim } = await failIn('snapshot');
  keepMachine(claim, { 'slipway.dev/shutdown-ended': 'Succeeded' });
  api.pass(590_000);
  const { plan } = await api.client.retry(buildId);
  expect(plan.modules[0]?.why).toBe('from the start: its disks are no longer kept');
});
