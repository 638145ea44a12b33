import { afterAll, beforeAll, expect, test } from 'vitest';
import { resourcePath } from '../../common/kubernetes/resources.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type Answer, ClusterClient } from '../harness/cluster-client.ts';
import { startEmbeddedCluster } from '../harness/embedded-cluster.ts';
import { foreignKubeconfig } from '../harness/foreign-cluster.ts';
import { type FarmObject, farmObjects } from './farm-objects.ts';
import { DIFFERENCES } from './known-differences.ts';
import { type Mutation, mutationsOf } from './mutations.ts';

/** A mutation that the two servers judge differently: `Kind: what: real code / embedded code, embedded words`. */
type Difference = string;

const resources = new ReleaseStack();
let real: ClusterClient;
let embedded: ClusterClient;
/** How many bodies both servers judged. */
let judged = 0;

beforeAll(async () => {
  real = new ClusterClient(foreignKubeconfig ?? '');
  resources.defer('real', () => real.close());
  const cluster = await startEmbeddedCluster({ apiOnly: true, config: { namespaces: ['slipway'] } });
  resources.defer('cluster', () => cluster.stop());
  embedded = new ClusterClient(cluster.kubeconfig);
  resources.defer('embedded', () => embedded.close());
});

afterAll(async () => {
  await resources.close();
});

/** Refused by what replaces KubeVirt's, CDI's and KubeOVN's webhooks: the real server has none of them here. */
function isWebhooks({ body }: Answer): boolean {
  return String(body['message']).startsWith('admission webhook');
}

async function compare({ resource }: FarmObject, mutation: Mutation): Promise<Difference | undefined> {
  const path = `${resourcePath(resource, 'slipway')}?dryRun=All&fieldValidation=Strict`;
  const send = (client: ClusterClient) => client.send('POST', path, mutation.body);
  const [mine, theirs] = await Promise.all([send(embedded), send(real)]);
  if (isWebhooks(mine) || mine.code === theirs.code) return undefined;
  const words = String(mine.code < 300 ? theirs.body['message'] : mine.body['message']);
  return `${resource.kind}: ${mutation.what}: ${theirs.code} / ${mine.code} ${words.slice(0, 160)}`;
}

test('both servers judge mutated objects alike, but for what is listed', async () => {
  const differences: Difference[] = [];
  for (const made of farmObjects(foreignKubeconfig ?? '', 'mutant')) {
    const { apiVersion, kind } = made.resource;
    for (const mutation of mutationsOf({ ...made.object, apiVersion, kind })) {
      const difference = await compare(made, mutation);
      judged += 1;
      if (difference !== undefined) differences.push(difference);
    }
  }
  expect(judged).toBeGreaterThan(2000);
  console.log(`${judged} mutated objects judged, ${differences.length} differently`);
  expect(differences.filter((difference) => !DIFFERENCES.some(({ where }) => where.test(difference)))).toEqual([]);
  const idle = DIFFERENCES.filter(({ where }) => !differences.some((difference) => where.test(difference)));
  expect(idle.map(({ why }) => why)).toEqual([]);
}, 300_000);
