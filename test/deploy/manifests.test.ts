import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { packagePath } from '../../common/config/package-root.ts';
import { ROLES } from '../../common/contracts/roles.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { rulesOf } from '../../common/kubernetes/rights.ts';
import { chartFiles } from '../../deploy/kubernetes/chart.ts';
import { plainManifests, plainText, sortedYaml } from '../../deploy/kubernetes/plain.ts';
import { renderTemplate } from './go-template.ts';

const { version } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));
const chart = chartFiles(version);
const CHART = packagePath('deploy', 'helm', 'slipway');

interface Any {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Record<string, unknown>;
}

/** The chart's objects, rendered with some values changed. */
function rendered(changes: (values: Record<string, Record<string, unknown>>) => void = () => {}): Any[] {
  const values = parse(chart.get('values.yaml') ?? '');
  changes(values);
  const scope = { Release: { Name: 'slipway', Namespace: 'slipway-system' }, Values: values };
  return [...chart]
    .filter(([path]) => path.startsWith('templates/') && path.endsWith('.yaml'))
    .flatMap(([, template]) => parseAllDocuments(renderTemplate(template, scope, sortedYaml)))
    .map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS();
    })
    .filter((object) => object !== null);
}

const identity = ({ kind, metadata }: Any) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;

describe('what is committed', () => {
  test('is what the source renders', () => {
    expect(readFileSync(packagePath('deploy', 'kubernetes.yaml'), 'utf8')).toBe(plainText());
    for (const [path, content] of chart) expect(readFileSync(`${CHART}/${path}`, 'utf8')).toBe(content);
    const files = readdirSync(CHART, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files).toHaveLength(chart.size);
  });
});

describe('the chart', () => {
  test('with its default values is the plain manifest without the namespace that it is installed in', () => {
    const plain = plainManifests().filter(({ metadata }) => metadata.name !== 'slipway-system');
    expect(rendered().toSorted(byIdentity)).toEqual(plain.toSorted(byIdentity));
  });

  test('leaves the number of workers to an autoscaler, and out of Redis what is brought along', () => {
    const objects = rendered((values) => {
      Object.assign(values['autoscaling'] ?? {}, { by: 'keda' });
      Object.assign(values['redis'] ?? {}, { url: 'rediss://redis.example.com:6379' });
    });
    expect(objects.filter(({ kind }) => kind === 'ScaledObject')).toHaveLength(4);
    const deployment = objects.find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'slipway-import',
    );
    expect(deployment?.spec).not.toHaveProperty('replicas');
    expect(JSON.stringify(deployment)).toContain('rediss://redis.example.com:6379');
    expect(objects.some(({ kind }) => kind === 'StatefulSet')).toBe(false);
  });

  test('shares one volume for local files among schedulers, and never between nodes that cannot', () => {
    const schedulerWith = (accessMode: string) =>
      rendered((values) => Object.assign(values['blobs'] ?? {}, { accessMode })).find(
        ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'slipway-scheduler',
      )?.spec;
    expect(schedulerWith('ReadWriteOnce')?.['strategy']).toEqual({ type: 'Recreate' });
    expect(schedulerWith('ReadWriteMany')?.['strategy']).toBeNull();
    expect(JSON.stringify(schedulerWith('ReadWriteMany'))).toContain('"claimName":"slipway-blobs"');
  });

  test('names what lies outside of its namespace by release and namespace', () => {
    const outside = rendered().filter(({ metadata }) => metadata.namespace !== 'slipway-system');
    const names = outside.filter(({ kind }) => kind !== 'Namespace').map(({ metadata }) => metadata.name);
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !name.startsWith('slipway-system:slipway-'))).toEqual([]);
  });

  test('renders objects for the Prometheus operator when they are wanted', () => {
    const objects = rendered((values) => Object.assign(values['monitoring'] ?? {}, { enabled: true }));
    expect(objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['ServiceMonitor', 'PodMonitor']));
  });
});

function byIdentity(a: Any, b: Any): number {
  return identity(a).localeCompare(identity(b));
}

describe('every object', () => {
  test('has a name of its own', () => {
    const names = plainManifests().map(identity);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(plainManifests().filter(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind)))(
    'with pods runs restricted, with bounds and probes: $metadata.name',
    (object) => {
      const template = (object['spec'] as { template: { spec: Record<string, unknown> } }).template.spec;
      expect(template['securityContext']).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const container of template['containers'] as Record<string, unknown>[]) {
        expect(container).toMatchObject({
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
    },
  );
});

describe('rights', () => {
  const known = new Set(Object.values(RESOURCES).map(({ plural }) => plural));
  const rules = ROLES.flatMap((role) => [...rulesOf(role, 'namespaced'), ...rulesOf(role, 'cluster')]);

  test('name kinds and verbs one by one', () => {
    for (const { apiGroups, resources, verbs } of rules) {
      expect([...apiGroups, ...resources, ...verbs].join()).not.toContain('*');
      for (const resource of resources) expect(known).toContain(resource.split('/')[0]);
      expect(verbs).not.toContain('deletecollection');
    }
  });

  test('on kinds without a namespace are on those of KubeOVN, and the scheduler’s to list what a cluster has', () => {
    for (const role of ROLES) {
      const others = rulesOf(role, 'cluster').filter(({ apiGroups }) => apiGroups.join() !== 'kubeovn.io');
      expect(others.every(({ verbs }) => role === 'scheduler' && verbs.join() === 'list')).toBe(true);
    }
  });

  test('to remove networks are the scheduler’s, and to make them those of import', () => {
    const may = (verb: string) =>
      ROLES.filter((role) => rulesOf(role, 'cluster').some(({ verbs }) => verbs.includes(verb)));
    expect(may('delete')).toEqual(['scheduler']);
    expect(may('create')).toEqual(['import']);
  });
});
