import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { z } from 'zod';
import { packagePath } from '../../common/config/package-root.ts';
import { configSchema } from '../../common/config/schema.ts';
import { CLUSTER_ROLES } from '../../common/contracts/roles.ts';
import { rulesOf } from '../../common/kubernetes/rights.ts';
import { helmBinary } from '../harness/helm.ts';

export const CHART = packagePath('deploy', 'helm', 'slipway');

/** Namespace of the farm's processes; Helm makes it with `--create-namespace`, so the chart has none. */
const OWN_NAMESPACE = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: 'slipway-system',
    labels: { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' },
  },
};

/** Output of the real Helm. */
export async function helm(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(await helmBinary(), args, { maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

/** The chart's objects for some `--set` of the values. */
export async function renderChart(...settings: string[]): Promise<string> {
  const values = settings.flatMap((setting) => ['--set', setting]);
  return helm('template', 'slipway', CHART, '--namespace', OWN_NAMESPACE.metadata.name, ...values);
}

/**
 * Files of the repository that follow from others, by path below `deploy/`: what the chart takes from the code and from
 * the deployment in containers (Helm reads nothing outside of a chart), and the plain manifest.
 */
export function derivedFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['helm/slipway/files/roles.yaml', roles()],
    ['helm/slipway/files/alerts.yaml', read('prometheus', 'rules', 'slipway.yaml')],
    ['helm/slipway/files/redis.conf', read('compose', 'redis.conf')],
    ['helm/slipway/values.schema.json', valuesSchema()],
  ]);
}

/** Text of `deploy/kubernetes.yaml`: the chart with its default values, and the namespace that it is installed in. */
export async function plainManifest(): Promise<string> {
  const head =
    '# Made by `npm run manifests` from the chart. docs/operations.md describes what to change before it is applied.';
  return `${head}\n${stringify(OWN_NAMESPACE)}${await renderChart()}`;
}

function roles(): string {
  const rules = CLUSTER_ROLES.map((role) => {
    const cluster = rulesOf(role, 'cluster');
    return [role, { namespaced: rulesOf(role, 'namespaced'), ...(cluster.length > 0 ? { cluster } : {}) }];
  });
  return `# Made by \`npm run manifests\` from common/kubernetes/rights.ts.\n${stringify(Object.fromEntries(rules))}`;
}

/** The schema as it is, with the farm's configuration as the code reads it. */
function valuesSchema(): string {
  const schema = JSON.parse(read('helm', 'slipway', 'values.schema.json'));
  const { $schema: _draft, ...config } = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' });
  schema.properties.config = config;
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function read(...path: string[]): string {
  return readFileSync(packagePath('deploy', ...path), 'utf8');
}
