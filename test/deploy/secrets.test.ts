import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { packagePath, programCommand } from '../../common/config/package-root.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { type LoneScheduler, startLoneScheduler } from '../harness/lone-scheduler.ts';
import { plainManifest } from './chart.ts';

/*
 * Who has which secret of the farm. A worker opens the secrets of steps (farm-key) and shows its metrics; an admin's token is
 * the scheduler's alone, and who only scrapes has the token of the metrics.
 */
const WORKER = ['farm-key', 'metrics-token', 'redis-password'];
const SCHEDULER = ['farm-key', 'metrics-token', 'redis-password', 'token'];
const FARM = { scheduler: SCHEDULER, ...Object.fromEntries(PHASES.map((phase) => [phase, WORKER])) };

interface Service {
  readonly networks?: readonly string[];
  readonly secrets?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

interface Pod {
  readonly metadata: { readonly name: string };
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly containers: readonly [{ readonly env?: readonly { readonly name: string; readonly value: string }[] }];
  readonly volumes: readonly {
    readonly name: string;
    readonly secret?: { readonly items?: readonly { readonly key: string }[] };
  }[];
}

/** Names of the secrets that variables lead to. */
const filesOf = (values: readonly string[]) =>
  values.flatMap((value) => /^\/run\/secrets\/.*?([^/]+)$/.exec(value)?.[1] ?? []);

const { services } = parse(readFileSync(packagePath('docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
};

test('guests of docker-compose find only the service of the cluster on its network', () => {
  const on = (network: string) =>
    Object.keys(services).filter((name) => (services[name]?.networks ?? ['default']).includes(network));
  expect(on('cluster').toSorted()).toEqual([...Object.keys(FARM), 'embedded'].toSorted());
  expect(on('default')).not.toContain('embedded');
});

test('docker-compose gives each service the secrets that it needs, and no other', () => {
  const given = Object.entries(services).map(([name, { secrets = [] }]) => [name, secrets.toSorted()]);
  expect(Object.fromEntries(given)).toEqual({
    ...FARM,
    redis: ['redis-password'],
    embedded: [],
    prometheus: ['metrics-token'],
    grafana: ['grafana-password'],
  });
  for (const [name, secrets] of Object.entries(FARM)) {
    expect(filesOf(Object.values(services[name]?.environment ?? {})).toSorted(), name).toEqual(secrets);
  }
});

test('the chart gives each pod the keys of the Secret that it needs, and no other', async () => {
  const objects: Pod[] = parseAllDocuments(await plainManifest()).map((document) => document.toJS());
  const deployments = objects.filter(({ kind }) => kind === 'Deployment');
  const given = deployments.map(({ metadata, spec: { template } }) => {
    const { secret } = template.spec.volumes.find(({ name }) => name === 'secrets') ?? {};
    return [metadata.name.replace('slipway-', ''), secret?.items?.map(({ key }) => key).toSorted()];
  });
  expect(Object.fromEntries(given)).toEqual(FARM);
  for (const { metadata, spec } of deployments) {
    const values = (spec.template.spec.containers[0].env ?? []).map(({ value }) => value ?? '');
    expect(filesOf(values).toSorted(), metadata.name).toEqual(
      FARM[metadata.name.replace('slipway-', '') as 'scheduler'],
    );
  }
});

const resources = new ReleaseStack();
let scheduler: LoneScheduler;

beforeAll(async () => {
  scheduler = await startLoneScheduler(resources);
}, 60_000);

afterAll(() => resources.close());

test('a worker starts without an admin’s token, and shows metrics by their own token only', async () => {
  const files = new FarmFiles(join(scheduler.folder, 'worker'));
  const config = {
    farm: { keyFile: files.secretFile('farm-key') },
    redis: { url: scheduler.redisUrl },
    http: { tokenFile: join(scheduler.folder, 'nowhere') },
    metrics: { tokenFile: files.secretFile('metrics-token') },
    clusters: [{ name: 'lab', kubeconfig: join(scheduler.folder, 'kubeconfig') }],
  };
  const { metricsPort } = await startWorker(files, config);
  const ask = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { headers })).status;
  };
  expect(await ask(scheduler.token)).toBe(401);
  expect(await ask(files.secret('metrics-token'))).toBe(200);
});

async function startWorker(files: FarmFiles, config: object): Promise<Readonly<Record<string, unknown>>> {
  writeFileSync(files.config, stringify(config), { mode: 0o600 });
  const supervisor = new Supervisor(createLogger({ name: 'test', level: 'silent' }), () => {});
  resources.defer('worker', () => supervisor.stop());
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  return supervisor.start({
    name: 'provision',
    command: [...programCommand('workers/main'), '--phase', 'provision'],
    environment: { ...Object.fromEntries(kept), SLIPWAY_CONFIG: files.config },
    logFile: files.log('provision'),
    readReady: readReadyEvent,
  });
}
