import { expect, test } from 'vitest';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import type { ClusterClient } from '../../harness/cluster-client.ts';
import { useNamespace } from '../../harness/use-namespace.ts';

/*
 * What an API server does with the kinds of KubeOVN by their definitions alone, without KubeOVN's webhook.
 */
let client: ClusterClient;
const namespace = useNamespace('kinds', (opened) => {
  client = opened;
});

const BEFORE_DEFAULTS: readonly (readonly [string, object])[] = [
  ['a protocol that is a number', { protocol: 7 }],
  ['excluded addresses that are an object', { excludeIps: {} }],
];

test.each(BEFORE_DEFAULTS)('checks %s before anything is filled in', async (_, spec) => {
  const object = { metadata: { name: `${namespace}-odd` }, spec: { cidrBlock: '10.76.0.0/24', ...spec } };
  expect(await client.create(RESOURCES.subnets, '', object, 'dryRun=All')).toMatchObject({ code: 422 });
});
