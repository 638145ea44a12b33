import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { packagePath } from '../../common/config/package-root.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { CLUSTER_ROLES } from '../../common/contracts/roles.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { rulesOf } from '../../common/kubernetes/rights.ts';
import { METRICS } from '../../common/metrics/metric-table.ts';
import { CHART, derivedFiles, helm, plainManifest, renderChart } from './chart.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Readonly<Record<string, unknown>>;
}

let plain: string;
let plainObjects: Manifest[];

beforeAll(async () => {
  plain = await plainManifest();
  plainObjects = objectsOf(plain);
}, 120_000);

/** The chart's objects with some values changed, as the real Helm renders them. */
async function rendered(...settings: string[]): Promise<Manifest[]> {
  return objectsOf(await renderChart(...settings));
}

function objectsOf(text: string): Manifest[] {
  const documents = parseAllDocuments(text).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
  return documents.filter((object) => object !== null);
}

const identity = ({ kind, metadata }: Manifest) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

describe('what is committed', () => {
  test.each([...derivedFiles()])('follows from its source: %s', (path, content) => {
    expect(readFileSync(packagePath('deploy', ...path.split('/')), 'utf8')).toBe(content);
  });

  test('is the chart with its default values: kubernetes.yaml', () => {
    expect(readFileSync(packagePath('deploy', 'kubernetes.yaml'), 'utf8')).toBe(plain);
  });
});

describe('the chart', () => {
  test('passes the strict lint, and has the version of the package', async () => {
    expect(await helm('lint', '--strict', CHART)).toContain('0 chart(s) failed');
    const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));
    expect(parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8'))).toMatchObject({ version, appVersion: version });
  });

  test('has workers of every phase', () => {
    const names = plainObjects.filter(({ kind }) => kind === 'Deployment').map(({ metadata }) => metadata.name);
    expect(names.toSorted()).toEqual(['scheduler', ...PHASES].map((role) => `slipway-${role}`).toSorted());
  });

  test.each([
    ['keda', 'ScaledObject'],
    ['hpa', 'HorizontalPodAutoscaler'],
  ])('leaves the number of workers to %s, and out of Redis what is brought along', async (by, kind) => {
    const objects = await rendered(`autoscaling.by=${by}`, 'redis.url=rediss://redis.example.com:6379');
    const scalers = objects.filter((object) => object.kind === kind);
    expect(scalers).toHaveLength(PHASES.length);
    for (const scaler of scalers) expect(JSON.stringify(scaler)).toContain(METRICS.queueDepth.name);
    const deployment = objects.find(
      (object) => object.kind === 'Deployment' && object.metadata.name === 'slipway-import',
    );
    expect(deployment?.spec).not.toHaveProperty('replicas');
    expect(JSON.stringify(deployment)).toContain('rediss://redis.example.com:6379');
    expect(objects.some((object) => object.kind === 'StatefulSet')).toBe(false);
  });

  test.each([
    ['ReadWriteOnce', { type: 'Recreate' }],
    ['ReadWriteMany', undefined],
  ])(
    'shares one volume for local files among schedulers, and never between nodes that cannot: %s',
    async (mode, is) => {
      const objects = await rendered(`blobs.accessMode=${mode}`);
      const scheduler = objects.find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'slipway-scheduler',
      );
      expect(scheduler?.spec?.['strategy']).toEqual(is);
      expect(JSON.stringify(scheduler)).toContain('"claimName":"slipway-blobs"');
    },
  );

  test('names what lies outside of its namespace by release and namespace', () => {
    const outside = plainObjects.filter(({ metadata }) => metadata.namespace !== 'slipway-system');
    const names = outside.filter(({ kind }) => kind !== 'Namespace').map(({ metadata }) => metadata.name);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !name.startsWith('slipway-system:slipway-'))).toEqual([]);
  });

  test('gives the Prometheus operator what to scrape, and the alerts as they are', async () => {
    const objects = await rendered('monitoring.enabled=true');
    expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['ServiceMonitor', 'PodMonitor']));
    const alerts = readFileSync(packagePath('deploy', 'prometheus', 'rules', 'slipway.yaml'), 'utf8');
    expect(objects.find(({ kind }) => kind === 'PrometheusRule')?.spec).toEqual(parse(alerts));
  });
});

describe('every object', () => {
  test('has a name of its own', () => {
    const names = plainObjects.map(identity);
    expect(new Set(names).size).toBe(names.length);
  });

  test('with pods runs restricted, with bounds and probes', () => {
    const withPods = plainObjects.filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind));
    expect(withPods).toHaveLength(PHASES.length + 2);
    for (const { metadata, spec } of withPods) {
      const pod = (spec?.['template'] as { spec?: Record<string, unknown> } | undefined)?.spec ?? {};
      expect(pod['securityContext'], metadata.name).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(pod['containers'], metadata.name).toHaveLength(1);
      for (const container of (pod['containers'] ?? []) as Record<string, unknown>[]) {
        expect(container, metadata.name).toMatchObject({
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: { requests: { cpu: expect.anything(), memory: expect.anything() }, limits: expect.anything() },
          startupProbe: expect.anything(),
          livenessProbe: expect.anything(),
          readinessProbe: expect.anything(),
        });
      }
    }
  });
});

describe('rights', () => {
  const known = new Set(Object.values(RESOURCES).map(({ plural }) => plural));
  const rules = CLUSTER_ROLES.flatMap((role) => [...rulesOf(role, 'namespaced'), ...rulesOf(role, 'cluster')]);

  test('name kinds and verbs one by one', () => {
    for (const { apiGroups, resources, verbs } of rules) {
      expect([...apiGroups, ...resources, ...verbs].join()).not.toContain('*');
      for (const resource of resources) expect(known).toContain(resource.split('/')[0]);
      expect(verbs).not.toContain('deletecollection');
    }
  });

  test('on kinds without a namespace are on those of KubeOVN, and the scheduler’s to list what a cluster has', () => {
    for (const role of CLUSTER_ROLES) {
      const others = rulesOf(role, 'cluster').filter(({ apiGroups }) => apiGroups.join() !== 'kubeovn.io');
      expect(others.every(({ verbs }) => role === 'scheduler' && verbs.join() === 'list')).toBe(true);
    }
  });

  test('to remove networks are the scheduler’s, and to make them those of import', () => {
    const may = (verb: string) =>
      CLUSTER_ROLES.filter((role) => rulesOf(role, 'cluster').some(({ verbs }) => verbs.includes(verb)));
    expect(may('delete')).toEqual(['scheduler']);
    expect(may('create')).toEqual(['import']);
  });
});
