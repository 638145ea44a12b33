import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { createFarmKey } from '../../common/config/sealing.ts';
import type { ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { compiledModule, compiledVm, shell } from '../../test/harness/module-factory.ts';
import { unresolvedContents } from '../graph/facts.ts';
import { type ObjectCluster, resolveObjects } from './resolve-objects.ts';

const script: ObjectKeyRef = { kind: 'ConfigMap', name: 'scripts', key: 'setup.sh', optional: false };
const login: ObjectKeyRef = { kind: 'Secret', name: 'login', key: 'password', optional: false };
const { fingerprint } = createFarmKey('a key for tests that is long enough');
const hash = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

/** Objects by plural and name. */
type Content = Readonly<Record<string, object>>;

function cluster(name: string, content: Content): ObjectCluster {
  return {
    name,
    get: async (resource, object) => content[`${resource.plural}/${object}`] as never,
  };
}

function broken(error: Error): ObjectCluster {
  return { name: 'broken', get: () => Promise.reject(error) };
}

const scripts = (text: string): Content => ({ 'configmaps/scripts': { data: { 'setup.sh': text } } });
const resolve = (refs: readonly ObjectKeyRef[], ...clusters: ObjectCluster[]) =>
  resolveObjects(refs, { clusters, fingerprint });
const away = broken(new FarmError('ClusterUnavailable', 'no route'));

test('a ConfigMap is known by its hash, a Secret only under the key of the farm', async () => {
  const secret = { 'secrets/login': { data: { password: Buffer.from('open sesame').toString('base64') } } };
  const found = await resolve([script, login], cluster('a', { ...scripts('echo one'), ...secret }));
  expect(found).toEqual({
    'ConfigMap "scripts" key "setup.sh"': hash('echo one'),
    'Secret "login" key "password"': `hmac:${fingerprint('open sesame')}`,
  });
  expect(JSON.stringify(found)).not.toContain(createHash('sha256').update('open sesame').digest('hex'));
});

test('binary values count by their bytes, and inherited names are not keys', async () => {
  const content = { 'configmaps/scripts': { binaryData: { 'setup.sh': Buffer.from([0xff, 0]).toString('base64') } } };
  const bytes = createHash('sha256')
    .update(Buffer.from([0xff, 0]))
    .digest('hex');
  expect(await resolve([script], cluster('a', content))).toEqual({
    'ConfigMap "scripts" key "setup.sh"': `sha256:${bytes}`,
  });
  const inherited = { ...script, key: 'constructor' };
  await expect(resolve([inherited], cluster('a', scripts('x')))).rejects.toMatchObject({ code: 'SourceUnreachable' });
});

test('what is missing is an error that names it, unless it may be', async () => {
  await expect(resolve([script], cluster('a', {}))).rejects.toMatchObject({
    code: 'SourceUnreachable',
    message: 'ConfigMap "scripts" key "setup.sh" not found on cluster "a".',
  });
  expect(await resolve([{ ...script, optional: true }], cluster('a', {}))).toEqual({
    'ConfigMap "scripts" key "setup.sh"': 'absent',
  });
});

test('clusters that answer must agree, those that do not answer are ignored', async () => {
  const [one, two] = [cluster('a', scripts('echo one')), cluster('b', scripts('echo two'))];
  await expect(resolve([script], one, two)).rejects.toMatchObject({
    code: 'ClustersDiffer',
    message: 'ConfigMap "scripts" key "setup.sh" differs between the clusters "a" and "b".',
  });
  await expect(resolve([{ ...script, optional: true }], one, cluster('c', {}))).rejects.toThrow(
    'exists on cluster "a" but not on cluster "c".',
  );
  const same = { 'ConfigMap "scripts" key "setup.sh"': hash('echo one') };
  expect(await resolve([script], away, one, cluster('b', scripts('echo one')))).toEqual(same);
  await expect(resolve([script], away)).rejects.toMatchObject({ code: 'ClusterUnavailable' });
  const forbidden = broken(new FarmError('ClusterUnfit', 'may not get secrets'));
  await expect(resolve([script], one, forbidden)).rejects.toMatchObject({ code: 'ClusterUnfit' });
});

test('no cluster is asked for modules that name no object', async () => {
  expect(await resolve([], away)).toEqual({});
});

test('a key that one step needs and another can do without is needed', () => {
  const steps = [true, false].map((optional) => ({ ...shell(''), scriptFrom: { ...script, optional } }));
  const needed = unresolvedContents([compiledModule({ vms: [compiledVm({ steps })] })]).objects;
  expect(needed).toEqual([script]);
});
