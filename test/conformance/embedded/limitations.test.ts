import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packagePath } from '../../../common/config/package-root.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { ClusterClient } from '../../harness/cluster-client.ts';
import { type EmbeddedCluster, startEmbeddedCluster } from '../../harness/embedded-cluster.ts';

let cluster: EmbeddedCluster;
let client: ClusterClient;
const configMaps = '/api/v1/namespaces/default/configmaps';
const subresources = '/apis/subresources.kubevirt.io/v1/namespaces/default';
const domain = { memory: { guest: '64Mi' }, devices: {} };

beforeAll(async () => {
  cluster = await startEmbeddedCluster({ apiOnly: true });
  client = new ClusterClient(cluster.kubeconfig);
});

afterAll(async () => {
  await client.close();
  await cluster.stop();
});

async function expectAbsent(paths: readonly string[]): Promise<void> {
  for (const path of paths) expect([path, (await client.send('GET', path)).code]).toEqual([path, 404]);
}

/** One probe per line of `LIMITATIONS.md`: it passes as long as the limitation exists. */
const PROBES: Readonly<Record<string, () => Promise<void>>> = {
  'storage-versions-only': () => expectAbsent(['/apis/kubevirt.io/v1alpha3', '/apis/snapshot.storage.k8s.io/v1beta1']),
  'kinds-not-served': async () => {
    const unserved = {
      '/apis/apps/v1': ['deployments'],
      '/api/v1': ['endpoints', 'serviceaccounts', 'resourcequotas', 'limitranges'],
      '/apis/rbac.authorization.k8s.io/v1': ['roles'],
      '/apis/kubevirt.io/v1': ['virtualmachineinstancemigrations'],
      '/apis/instancetype.kubevirt.io/v1beta1': ['virtualmachineinstancetypes'],
      '/apis/snapshot.kubevirt.io/v1beta1': ['virtualmachinesnapshots', 'virtualmachinerestores'],
      '/apis/clone.kubevirt.io/v1beta1': ['virtualmachineclones'],
      '/apis/export.kubevirt.io/v1': ['virtualmachineexports'],
      '/apis/cdi.kubevirt.io/v1beta1': ['datasources', 'dataimportcrons'],
      '/apis/upload.cdi.kubevirt.io/v1beta1': ['uploadtokenrequests'],
      '/apis/kubeovn.io/v1': ['vpc-nat-gateways', 'iptables-eips', 'vlans', 'ippools'],
    };
    await expectAbsent(Object.entries(unserved).flatMap(([path, names]) => names.map((name) => `${path}/${name}`)));
  },
  'definitions-read-only': async () => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    expect((await client.send('GET', path)).code).toBe(200);
    expect((await client.send('POST', path, { metadata: { name: 'x.example.org' } })).code).toBe(405);
  },
  'one-node': async () => {
    expect((await client.send('GET', '/api/v1/nodes')).body['items']).toHaveLength(1);
  },
  'one-user': async () => {
    const spec = { resourceAttributes: { verb: 'destroy', resource: 'everything' } };
    const answer = await client.send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { spec });
    expect(answer.body).toMatchObject({ status: { allowed: true } });
  },
  'no-browser-token': async () => {
    const token = Buffer.from(client.config.getCurrentUser()?.token ?? '').toString('base64url');
    const headers = {
      authorization: '',
      'sec-websocket-protocol': `base64url.bearer.authorization.k8s.io.${token}, plain.kubevirt.io`,
    };
    expect(
      (await client.exchange({ method: 'GET', path: `${subresources}/virtualmachineinstances/x/vnc`, headers })).code,
    ).toBe(401);
  },
  'no-field-owners': async () => {
    const apply = (manager: string, value: string) =>
      client.exchange({
        method: 'PATCH',
        path: `${configMaps}/owned?fieldManager=${manager}`,
        body: { metadata: { name: 'owned' }, data: { a: value } },
        headers: { 'content-type': 'application/apply-patch+yaml' },
      });
    expect((await apply('one', '1')).code).toBe(201);
    const second = await apply('two', '2');
    expect(second).toMatchObject({ code: 200, body: { data: { a: '2' } } });
    expect(second.body['metadata']).not.toHaveProperty('managedFields');
  },
  'list-order-kept': async () => {
    const finalizers = ['example.org/a', 'example.org/b'];
    await client.send('POST', configMaps, { metadata: { name: 'ordered', finalizers } });
    const order = { metadata: { '$setElementOrder/finalizers': [...finalizers].reverse() } };
    const { body } = await client.patch(`${configMaps}/ordered`, 'strategic-merge-patch+json', order);
    expect(body).toMatchObject({ metadata: { finalizers } });
  },
  'lists-show-now': async () => {
    for (const name of ['p1', 'p2', 'p3'])
      await client.send('POST', configMaps, { metadata: { name, labels: { p: 'p' } } });
    const { body: page } = await client.send('GET', `${configMaps}?labelSelector=p&limit=1`);
    const first = page['metadata'] as { continue: string; resourceVersion: string };
    await client.send('DELETE', `${configMaps}/p2`);
    const { body } = await client.send('GET', `${configMaps}?labelSelector=p&limit=5&continue=${first.continue}`);
    expect(body['items']).toMatchObject([{ metadata: { name: 'p3' } }]);
    const second = await client.send('GET', `${configMaps}?labelSelector=p&resourceVersion=${first.resourceVersion}`);
    const exact = `resourceVersion=${first.resourceVersion}&resourceVersionMatch=Exact`;
    expect(second.body['items']).toHaveLength(2);
    expect(await client.send('GET', `${configMaps}?${exact}`)).toMatchObject({ code: 410 });
  },
  'protobuf-for-few': async () => {
    const typeMeta = '\n\u0009\n\u0002v1\u0012\u0003Pod';
    const protobuf = { 'content-type': 'application/vnd.kubernetes.protobuf' };
    expect(
      (
        await client.exchange({
          method: 'POST',
          path: '/api/v1/namespaces/default/pods',
          body: `k8s\0${typeMeta}`,
          headers: protobuf,
        })
      ).code,
    ).toBe(415);
    const accept = { accept: 'application/vnd.kubernetes.protobuf' };
    expect((await client.exchange({ method: 'GET', path: configMaps, headers: accept })).body).toHaveProperty('items');
  },
  'no-openapi-schemas': async () => {
    expect((await client.send('GET', '/openapi/v3/apis/kubevirt.io/v1')).body).toMatchObject({
      components: { schemas: {} },
    });
    await expect(client.kubectl('explain', 'vm')).rejects.toThrow();
  },
  'no-exec': () => expectAbsent(['exec', 'attach'].map((name) => `/api/v1/namespaces/default/pods/x/${name}`)),
  'core-half-checked': async () => {
    const containers = [{ name: 'a', image: 'a', securityContext: { runAsUser: -1 } }];
    const path = '/api/v1/namespaces/default/pods?dryRun=All';
    expect((await client.send('POST', path, { metadata: { name: 'odd' }, spec: { containers } })).code).toBe(201);
  },
  'no-cel': async () => {
    const volumes = [{ name: 'c', containerPath: { path: '../relative' } }];
    const body = {
      metadata: { name: 'cel' },
      spec: { runStrategy: 'Halted', template: { spec: { domain, volumes } } },
    };
    expect(await client.create(RESOURCES.machines, 'default', body, 'dryRun=All')).toMatchObject({ code: 201 });
  },
  'no-hotplug-headroom': async () => {
    const { code, body } = await client.create(
      RESOURCES.instances,
      'default',
      { metadata: { name: 'i' }, spec: { domain } },
      'dryRun=All',
    );
    expect([code, JSON.stringify(body['spec']).includes('max')]).toEqual([201, false]);
  },
  'subresources-not-served': async () => {
    await client.create(RESOURCES.machines, 'default', {
      metadata: { name: 'm' },
      spec: { runStrategy: 'Halted', template: { spec: { domain } } },
    });
    for (const name of ['migrate', 'addvolume', 'removevolume', 'memorydump']) {
      expect([name, (await client.send('PUT', `${subresources}/virtualmachines/m/${name}`)).code]).toEqual([name, 404]);
    }
    await client.create(RESOURCES.instances, 'default', { metadata: { name: 'm' }, spec: { domain } });
    const reads = ['guestosinfo', 'userlist', 'filesystemlist', 'usbredir', 'vsock'];
    await expectAbsent(reads.map((name) => `${subresources}/virtualmachineinstances/m/${name}`));
    await expectAbsent([`${subresources}/virtualmachines/m/expand-spec`]);
  },
};

const text = readFileSync(packagePath('embedded', 'LIMITATIONS.md'), 'utf8');
const lines = [...text.matchAll(/^- \*\*([a-z-]+)\*\*:((?:.|\n(?!\n|- ))*)/gm)];
const checkedElsewhere = lines.filter(([, , line]) => line?.includes('*Checked by*'));
const probed = lines.filter((line) => !checkedElsewhere.includes(line)).map(([, name = '']) => name);

test('every limitation has a probe or names its test, and every probe has a limitation', () => {
  expect(probed.sort()).toEqual(Object.keys(PROBES).sort());
  for (const [, name, line = ''] of checkedElsewhere) {
    const file = /\*Checked by\*\s+`([^`]+)`/.exec(line)?.[1] ?? '';
    expect([name, existsSync(packagePath(file))]).toEqual([name, true]);
  }
});

test.each(Object.entries(PROBES))('is still limited: %s', async (_, probe) => {
  await probe();
});
