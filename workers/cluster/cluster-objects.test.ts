import ssh2 from 'ssh2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import type { ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import { contentIdentity, objectKeyName } from '../../common/contracts/object-content.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { clusterConfig } from '../../test/harness/api-server.ts';
import { conformanceCluster, type EmbeddedCluster } from '../../test/harness/embedded-cluster.ts';
import { compiledVm } from '../../test/harness/module-factory.ts';
import { stagePhase } from '../../test/harness/phase-context.ts';
import { sampleModule } from '../../test/harness/sample-spec.ts';
import { ensureBuildSecrets } from '../phases/import/build-secrets.ts';
import { withLogin } from '../phases/import/cloud-init.ts';
import { buildScope } from './build-scope.ts';
import { loginKeys, sharedPublicKey } from './login-keys.ts';
import { readPlannedObject } from './object-content.ts';

const USER_DATA: ObjectKeyRef = { kind: 'ConfigMap', name: 'seeds', key: 'user-data', optional: false };
const LOGIN: ObjectKeyRef = { kind: 'Secret', name: 'login', key: 'id', optional: false };
const { fingerprint } = createFarmKey('a key for tests that is long enough');
const pair = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, comment: 'mine' });
let server: EmbeddedCluster;
let config: ClusterConfig;
let cluster: ClusterClient;

beforeAll(async () => {
  server = await conformanceCluster({ apiOnly: true });
  config = clusterConfig(server.kubeconfig, { namespace: 'default' });
  cluster = new ClusterClient(config);
  await putSecret('login', { id: pair.private, public: pair.public, garbage: 'no key at all' });
  const metadata = { name: 'seeds' };
  await cluster.create(RESOURCES.configMaps, { metadata, data: { 'user-data': '#cloud-config\nhostname: web\n' } });
}, 60_000);

afterAll(() => server.stop());

async function putSecret(name: string, values: Readonly<Record<string, string>>): Promise<void> {
  const data = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
  await cluster.create(RESOURCES.secrets, { metadata: { name }, type: 'Opaque', data });
}

let builds = 0;

/** The import of the first of these VMs, planned when the objects had these contents. */
function stage(vms: readonly Partial<CompiledVm>[], planned: Readonly<Record<string, string>> = {}) {
  builds += 1;
  const layerBuild = `01J000000000000000000000${String(builds).padStart(2, '0')}`;
  const names = vms.map((_, index) => `vm${index}`);
  const { spec } = sampleModule({ name: 'm', layerKey: 'k', layerBuild, vms: names });
  const module = { ...spec.module, vms: vms.map((vm, index) => compiledVm({ ...vm, name: `vm${index}` })) };
  const staged = { clusterConfig: config, spec: { ...spec, module, objects: planned }, vm: 'vm0', layerBuild };
  const context = stagePhase({ ...staged, phase: 'import' });
  return { ...context, scope: buildScope(context) };
}

const withKey = (ref: ObjectKeyRef | null): Partial<CompiledVm> => ({
  communicator: { ...compiledVm().communicator, sshPrivateKeySecret: ref },
});

test('an object is read as long as it is what was planned', async () => {
  const content = Buffer.from('#cloud-config\nhostname: web\n');
  const planned = { [objectKeyName(USER_DATA)]: contentIdentity('ConfigMap', content, fingerprint) };
  const read = (ref: ObjectKeyRef, objects: Readonly<Record<string, string>>) => {
    const context = stage([{}], objects);
    return readPlannedObject(context, ref, context.signal);
  };
  expect(await read(USER_DATA, planned)).toEqual(content);
  expect(await read(USER_DATA, {})).toEqual(content);
  await expect(read(USER_DATA, { [objectKeyName(USER_DATA)]: 'absent' })).rejects.toMatchObject({
    failure: {
      reason: 'SourceChanged',
      message: 'ConfigMap "seeds" key "user-data" changed on the cluster since it was planned',
    },
  });
  const rotated = { [objectKeyName(LOGIN)]: contentIdentity('Secret', Buffer.from('an older key'), fingerprint) };
  await expect(read(LOGIN, rotated)).rejects.toMatchObject({ failure: { reason: 'SourceChanged' } });
  const missing = { ...USER_DATA, key: 'other' };
  await expect(read(missing, {})).rejects.toMatchObject({ failure: { reason: 'SourceUnreachable' } });
  expect(await read({ ...missing, optional: true }, { [objectKeyName(missing)]: 'absent' })).toBeNull();
});

test('a key of your own is tried first, and the guest gets its public half', async () => {
  const cloudInit = { userData: null, userDataFrom: USER_DATA, networkData: null };
  const context = stage([{ ...withKey(LOGIN), cloudInit }]);
  const { scope } = context;
  const keys = await loginKeys(context, scope, scope.vm);
  const line = pair.public.split(' ').slice(0, 2).join(' ');
  expect(keys).toMatchObject({ publicKey: line, privateKeys: [pair.private, keys.buildKey.privateKey] });
  expect(keys.buildKey.publicKey).not.toContain(line);
  expect(await sharedPublicKey(context, scope)).toBe(line);
  await ensureBuildSecrets(context, scope, keys);
  const made = await cluster.get(RESOURCES.secrets, scope.names.cloudInit('vm0'));
  const userData = Buffer.from('#cloud-config\nhostname: web\n');
  expect(made?.data?.['userdata']).toBe(
    withLogin(userData, { username: 'root', publicKeys: [line] }).toString('base64'),
  );
});

test('without one, or where VMs have different ones, it is the key of the build', async () => {
  const plain = stage([withKey(null)]);
  const keys = await loginKeys(plain, plain.scope, plain.scope.vm);
  expect(keys).toMatchObject({ publicKey: keys.buildKey.publicKey, privateKeys: [keys.buildKey.privateKey] });
  const mixed = stage([withKey(LOGIN), withKey(null)]);
  expect(await sharedPublicKey(mixed, mixed.scope)).toMatch(/^ssh-ed25519 \S+ slipway-build$/);
});

test('objects that the farm has made for a build cannot be named by modules', async () => {
  const context = stage([{}]);
  await loginKeys(context, context.scope, context.scope.vm);
  const stolen = { ...LOGIN, name: context.scope.names.sshKey(), key: 'id_ed25519' };
  await expect(readPlannedObject(context, stolen, context.signal)).rejects.toMatchObject({
    failure: { reason: 'SourceUnreachable' },
  });
});

test.each([
  ['a public key', 'public', 'It is a public key'],
  ['something else', 'garbage', 'Unsupported key format'],
])('%s is refused as a key to log in with', async (_case, key, why) => {
  const context = stage([withKey({ ...LOGIN, key })]);
  const message = `Secret "login" key "${key}" holds no private key that can be used: ${why}`;
  await expect(loginKeys(context, context.scope, context.scope.vm)).rejects.toMatchObject({
    failure: { reason: 'KeyUnusable', message },
  });
});
