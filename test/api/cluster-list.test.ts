import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { type LoneScheduler, startLoneScheduler } from '../harness/lone-scheduler.ts';

/** The list of clusters is changed under a scheduler and a worker for imports, in processes of their own. */
const resources = new ReleaseStack();
const supervisor = new Supervisor(createLogger({ name: 'test', level: 'silent' }), () => {});
let scheduler: LoneScheduler;
let files: FarmFiles;

beforeAll(async () => {
  scheduler = await startLoneScheduler(resources);
  files = new FarmFiles(scheduler.folder);
  resources.defer('worker', () => supervisor.stop());
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  await supervisor.start({
    name: 'import',
    command: [...programCommand('workers/main'), '--phase', 'import'],
    environment: { ...Object.fromEntries(kept), SLIPWAY_CONFIG: files.config },
    logFile: files.log('import'),
    readReady: readReadyEvent,
  });
}, 120_000);
afterAll(() => resources.close());

test('clusters come and go without a restart', { timeout: 120_000 }, async () => {
  const lab = { name: 'lab', kubeconfig: join(scheduler.folder, 'kubeconfig') };
  await until(['lab 8 1']);
  write([lab, { ...lab, name: 'second', limits: { vms: 7 } }]);
  await until(['lab 8 1', 'second 7 1']);
  write([lab, { ...lab, name: 'second', limits: { vms: 8 } }]);
  await until(['lab 8 1', 'second 8 1']);
  expect(await boards()).toContain('import--second');

  // What is not valid, and an empty list, change nothing.
  write([{ ...lab, name: 'Not A Label' }]);
  await until(['lab 8 1', 'second 8 1'], () =>
    readFileSync(scheduler.logFile, 'utf8').includes('Taking the configuration failed'),
  );
  write([]);

  write([{ ...lab, name: 'second', limits: { vms: 8 } }]);
  await until(['second 8 1']);
  await expect.poll(boards, { timeout: 60_000 }).not.toContain('import--lab');
  for (const process of [scheduler.logFile, files.log('import')])
    expect(readFileSync(process, 'utf8')).not.toContain('"level":60');
});

/** As editors do it: another file takes the place of the former one. */
function write(clusters: readonly object[]): void {
  const config = parse(readFileSync(files.config, 'utf8'));
  writeFileSync(`${files.config}.new`, stringify({ ...config, clusters }), { mode: 0o600 });
  renameSync(`${files.config}.new`, files.config);
}

async function get(path: string): Promise<Response> {
  return fetch(`${scheduler.url}${path}`, { headers: { authorization: `Bearer ${scheduler.token}` } });
}

/** Names, limits of VMs, and processes of workers for imports. */
async function listed(): Promise<string[]> {
  const { clusters } = (await (await get('/api/v1/clusters')).json()) as {
    clusters: { name: string; configured: { vms: number }; workers: { phase: string; processes: number }[] }[];
  };
  return clusters.map(({ name, configured, workers }) => {
    const imports = workers.find(({ phase }) => phase === 'import');
    return `${name} ${configured.vms} ${imports?.processes}`;
  });
}

async function boards(): Promise<string[]> {
  const { queues } = (await (await get('/queues/api/queues')).json()) as { queues: { name: string }[] };
  return queues.map(({ name }) => name);
}

async function until(expected: readonly string[], also = () => true): Promise<void> {
  await expect
    .poll(async () => ({ list: (await listed()).toSorted(), also: also() }), { timeout: 60_000, interval: 200 })
    .toEqual({
      list: expected,
      also: true,
    });
}
