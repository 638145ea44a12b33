import { expect, test } from 'vitest';
import { LiveClusters } from './live-clusters.ts';
import { loadConfig } from './load-config.ts';

const clusters = (text: string) => loadConfig({ SLIPWAY_CLUSTERS: text }).clusters;

/** Runs that write down when they begin and end; those of clusters in `broken` do not begin. */
function recordRuns(broken: ReadonlySet<string> = new Set()) {
  const reported: string[] = [];
  const live = new LiveClusters(async ({ name, limits }) => {
    if (broken.has(name)) throw new Error(`no kubeconfig of ${name}`);
    reported.push(`+${name} ${limits.vms}`);
    return { stop: async () => void reported.push(`-${name}`) };
  });
  return { live, reported: () => reported.splice(0) };
}

test('starts what is new, ends what is gone, and does both where a cluster has changed', async () => {
  const { live, reported } = recordRuns();
  await live.follow(clusters('[{name: a, limits: {vms: 1}}, {name: b, limits: {vms: 1}}]'));
  expect(reported()).toEqual(['+a 1', '+b 1']);
  await live.follow(clusters('[{name: b, limits: {vms: 1}}, {name: a, limits: {vms: 1}}]'));
  expect(reported()).toEqual([]);
  await live.follow(clusters('[{name: a, limits: {vms: 2}}, {name: c, limits: {vms: 1}}]'));
  expect(reported()).toEqual(['-a', '-b', '+a 2', '+c 1']);
  await live.stop();
  expect(reported()).toEqual(['-a', '-c']);
});

test('keeps all when the list is empty', async () => {
  const { live, reported } = recordRuns();
  await live.follow(clusters('[{name: a, limits: {vms: 1}}]'));
  await expect(live.follow([])).rejects.toMatchObject({ code: 'InvalidConfig' });
  expect(reported()).toEqual(['+a 1']);
});

test('starts the others beside one that cannot be used, which is tried again by the next call', async () => {
  const broken = new Set(['a']);
  const { live, reported } = recordRuns(broken);
  const both = clusters('[{name: a, limits: {vms: 1}}, {name: b, limits: {vms: 1}}]');
  await expect(live.follow(both)).rejects.toThrow('no kubeconfig of a');
  expect(reported()).toEqual(['+b 1']);
  broken.clear();
  await live.follow(both);
  expect(reported()).toEqual(['+a 1']);
});
