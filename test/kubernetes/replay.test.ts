import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { CLUSTER_ROLES } from '../../common/contracts/roles.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { ClusterClient } from '../harness/cluster-client.ts';
import { foreignKubeconfig } from '../harness/foreign-cluster.ts';
import { kubectl } from '../harness/kubectl.ts';
import { recordedBuild } from './recorded-build.ts';
import { Replay, type Replayed, SERVED_BY_OTHERS } from './replay.ts';

const kubeconfig = foreignKubeconfig ?? '';
const resources = new ReleaseStack();
let replayed: readonly Replayed[];
/**
 * Kinds that one of the two servers does not define: those by which operators report their state, and quotas. The preflight alone
 * reads them, and takes them for absent.
 */
const NOT_DEFINED = /\/(kubevirts|cdis|storageprofiles|resourcequotas)$/;

/** A client with the token of the service account of each role. */
async function accounts(administrator: ClusterClient): Promise<Map<string, ClusterClient>> {
  const clients = new Map<string, ClusterClient>();
  const config = await readFile(kubeconfig, 'utf8');
  const { token: own } = JSON.parse(config).users[0].user as { token: string };
  for (const role of CLUSTER_ROLES) {
    const path = `/api/v1/namespaces/slipway-system/serviceaccounts/slipway-${role}/token`;
    const { body } = await administrator.send('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    });
    const file = join(dirname(kubeconfig), `account-${role}`);
    await writeFile(file, config.replace(own, (body['status'] as { token: string }).token), { mode: 0o600 });
    const client = new ClusterClient(file);
    resources.defer(`client of ${role}`, () => client.close());
    clients.set(role, client);
  }
  return clients;
}

beforeAll(async () => {
  await kubectl(kubeconfig, 'apply', '-f', packagePath('deploy', 'kubernetes.yaml'));
  const administrator = new ClusterClient(kubeconfig);
  resources.defer('client', () => administrator.close());
  const records = await recordedBuild();
  replayed = await new Replay(administrator, await accounts(administrator)).run(records);
}, 600_000);

afterAll(() => resources.close());

/** One line for each, without its repetitions. */
function lines(of: readonly Replayed[]): string[] {
  return [
    ...new Set(
      of.map(({ asked, recorded, answered, message }) => `${asked}: ${recorded}, here ${answered} ${message}`),
    ),
  ];
}

test('every role made requests', () => {
  for (const role of CLUSTER_ROLES)
    expect(replayed.filter(({ asked }) => asked.startsWith(`${role}:`)).length).toBeGreaterThan(5);
});

test('no request of a build is beyond the rights of the role that made it', () => {
  expect(lines(replayed.filter(({ answered }) => answered === 403 || answered === 401))).toEqual([]);
});

test('a real API server takes every object of a build as it is meant', () => {
  const refused = replayed.filter(({ answered }) => answered === 400 || answered === 422);
  expect(lines(refused.filter(({ asked }) => !SERVED_BY_OTHERS.test(asked)))).toEqual([]);
  expect([...new Set(replayed.map(({ warnings }) => warnings))]).toEqual(['']);
});

test('a real API server answers the requests of a build as the embedded one does', () => {
  const other = replayed.filter(({ recorded, answered }) => recorded !== answered);
  const isServed = ({ asked, byWebhook }: Replayed) =>
    !byWebhook && !SERVED_BY_OTHERS.test(asked) && !NOT_DEFINED.test(asked);
  expect(lines(other.filter(isServed))).toEqual([]);
});
