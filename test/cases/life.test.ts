import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { RunView } from '../../common/contracts/runs.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startBrowser } from '../harness/browser.ts';
import { keepPicture, violationsOf } from '../harness/console-page.ts';
import { type DockerRegistry, startDockerRegistry } from '../harness/docker-registry.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { kubectl, remainingObjects } from '../harness/kubectl.ts';
import { type OutsideNetwork, openOutsideNetwork } from '../harness/outside-network.ts';
import { bootOutput } from '../harness/plain-boot.ts';

const LONG_MS = 600_000;
const SEEN_MS = 60_000;
const FLAGS = ['--vms', '4'];
/** A module of two machines on a closed network, which is all that there is of a clone. */
const LIFE = packagePath('test', 'cases', 'life.yaml');
const MENDED = packagePath('test', 'cases', 'mended.yaml');

const EVIDENCE = [
  'build.json',
  'events.jsonl',
  'mended/provenance.json',
  'mended/vm/serial.log',
  'mended/vm/logs/01-look-for-it.log',
  'mended/vm/logs/01-look-for-it-again-1.log',
  'mended/vm/logs/02-show-it.log',
];

const resources = new ReleaseStack();
const folder = mkdtempSync(join(tmpdir(), 'slipway-life-'));
let farm: TestFarm;
let image: ServedFile;
let registry: DockerRegistry;
let outside: OutsideNetwork;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  image = resources.use('image', await serveFile((await guestImages()).cloudImage), (served) => served.stop());
  registry = resources.use('registry', await startDockerRegistry(), (opened) => opened.stop());
  outside = openOutsideNetwork();
  resources.defer('outside', () => outside.close());
  farm = resources.use('farm', await startFarm({ flags: FLAGS }), (started) => started.purge());
  const browser = resources.use('browser', await startBrowser(), (opened) => opened.close());
  page = await browser.newPage({ acceptDownloads: true });
  page.setDefaultTimeout(SEEN_MS);
  complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(await farm.client.consoleLink());
}, 180_000);

afterAll(async () => {
  await resources.close();
  rmSync(folder, { recursive: true });
}, 120_000);

/** Runs a command that succeeds, and gives what it printed. */
async function slipway(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await farm.slipway(...args);
  expect(exitCode, `slipway ${args.join(' ')}: ${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** Opens a page of the console, and checks it for violations of WCAG and errors of the browser. */
async function look(name: string, path: string): Promise<void> {
  await page.goto(`${farm.connection.url}${path}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await expect.poll(() => page.getByText('Loading…').count()).toBe(0);
  await keepPicture(page, name);
  expect(await violationsOf(page), path).toEqual([]);
}

const variables = () => ['--var', `IMAGE_URL=${image.url}`, '--var', `IMAGE_SHA256=${image.sha256}`];
const build = (...args: string[]) => slipway('build', ...args, ...variables());
const run = async (...args: string[]) => (await slipway('run', ...args)).trim();
const inside = (machine: string, command: string) => slipway('ssh', machine, '--', command);
const viewOf = async (clone: string): Promise<RunView | undefined> =>
  (await farm.client.runs()).find(({ buildId }) => buildId === clone);
const hashOf = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('an image', () => {
  let clone: string;

  test('is built, and tagged', { timeout: LONG_MS }, async () => {
    expect(await build(LIFE)).toContain('life');
    expect(await slipway('image', 'tag', 'life:1', 'stable')).toBe('life@stable is life:1.\n');
    expect(await farm.client.images.tag('life', 'first', 1)).toMatchObject({ version: 1, formerVersion: null });
    expect(await slipway('images', 'life')).toMatch(
      /^life:1 +current +(first, stable|stable, first) .* [\d.]+ MiB, own [\d.]+ MiB /m,
    );
    await look('life-built', `/builds/${(await farm.client.builds())[0]?.buildId}`);
    await page.getByRole('link', { name: 'life: succeeded' }).waitFor();
    await look('life-images', '/images');
    await page.locator('summary[aria-label="Tag life:1"]').click();
    await page.getByLabel('Tag', { exact: true }).fill('checked');
    await page.getByRole('button', { name: 'Set it' }).click();
    await page.getByRole('row', { name: /^life:1 current @\w+ @\w+ @\w+ / }).waitFor();
  });

  test('leaves as files that boot under nothing but QEMU', { timeout: LONG_MS }, async () => {
    const out = join(folder, 'out');
    await slipway('image', 'export', 'life@stable', '-o', out);
    const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8'));
    const files = [join(out, 'life-1-db-system.qcow2'), join(out, 'life-1-web-system.qcow2')] as const;
    for (const file of files) expect(JSON.stringify(manifest)).toContain(hashOf(file));
    expect(await bootOutput(files[1], 'qcow2')).toMatch(/login: $/);
    // The console has the same file, at once: it is there.
    await look('life-export', '/images');
    await page.getByRole('button', { name: 'Export life:1 web system' }).click();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: /^life-1-web-system\.qcow2/ }).click(),
    ]);
    expect(hashOf(await download.path())).toBe(hashOf(files[1]));
    const ordered = await farm.client.images.startExport('life:1', { vm: 'db' });
    expect(ordered).toMatchObject({ state: 'ready', sha256: hashOf(files[0]) });
  });

  test.each(['raw', 'vmdk', 'vhdx'] as const)(
    'leaves as a file that boots, as %s too',
    {
      timeout: LONG_MS,
    },
    async (format) => {
      const file = join(folder, `web.${format}`);
      const printed = await slipway('image', 'export', 'life@stable', '--vm', 'web', '--format', format, '-o', file);
      expect(printed).toContain(hashOf(file));
      expect(await bootOutput(file, format)).toMatch(/login: $/);
    },
  );

  test('goes to a registry, and a module is built from there', { timeout: LONG_MS }, async () => {
    const target = `${registry.host}/farm/life:1`;
    const pushed = await slipway('image', 'push', 'life', target, '--vm', 'web');
    const [, source] = /(source: .*)\n$/.exec(pushed) ?? [];
    const digests: (string | null)[] = [];
    const order = { reference: `${registry.host}/farm/life:again`, vm: 'web' };
    for await (const view of farm.client.images.push('life', order)) digests.push(view.digest);
    expect(source).toContain(digests.at(-1));
    await look('life-push', '/images');
    await page.locator('summary[aria-label="Push life:1 web system"]').click();
    const form = page.locator('details.push[open]');
    await form.getByLabel('To').fill(`${registry.host}/farm/life:by-hand`);
    await form.getByRole('button', { name: 'Push' }).click();
    await form.getByText(`pushed, ${digests.at(-1)}`).waitFor();
    const file = join(folder, 'child.yaml');
    const rest = [
      '    cloudInit: {}',
      '    resources: { cpu: 1, memory: 256Mi }',
      '    provisioners: [{ type: shell, shell: { inline: "cat /etc/life" } }]',
    ];
    writeFileSync(file, [`name: child`, 'vms:', '  - name: vm', `    ${source}`, ...rest, ''].join('\n'));
    expect(await slipway('build', file)).toMatch(/ \| web$|: web$/m);
  });

  test('runs as clones of all of its machines, each on a closed network of its own', { timeout: LONG_MS }, async () => {
    const key = join(folder, 'person');
    await promisify(execFile)('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    await look('life-run', '/images');
    const row = page.getByRole('row').filter({ hasText: /^life:1/ });
    await row.locator('summary[aria-label="Run life:1"]').click();
    await row.getByRole('button', { name: 'Start a clone' }).click();
    await row.getByText('Starting: see Clones').waitFor();
    clone = await run('life@stable', '--ttl', '1h', '--ssh-key', `${key}.pub`);
    await expect.poll(runsUp, { timeout: LONG_MS }).toBe(2);
    const [other] = (await farm.client.runs()).filter(({ buildId }) => buildId !== clone);
    if (!other) throw new Error('The console has started a clone.');
    const hostKey = 'cat /etc/ssh/ssh_host_ed25519_key.pub';
    const machines = [`${clone}/web`, `${clone}/db`, `${other.buildId}/web`, `${other.buildId}/db`];
    const keys: string[] = [];
    for (const machine of machines) keys.push(await inside(machine, hostKey));
    expect(new Set(keys).size).toBe(4);
    // Names, and the other machine; nothing else, the other clone with the same addresses included.
    await inside(`${clone}/db`, 'touch /root/of-the-first');
    expect(await inside(`${clone}/web`, 'ping -c 1 db > /dev/null && hostname && cat /etc/life')).toBe('web\nweb\n');
    const { address, port } = outside;
    expect(await inside(`${clone}/web`, `nc -w 3 ${address} ${port} < /dev/null && echo out || echo closed`)).toBe(
      'closed\n',
    );
    expect(await inside(`${other.buildId}/db`, 'ls /root')).toBe('');
    const ssh = join(folder, 'ssh-config');
    const { url, token } = farm.connection;
    await slipway('ssh', `${clone}/web`, '--config', ssh, '--url', url, '--token', token);
    const env = { ...process.env, SLIPWAY_TOKEN: token };
    await promisify(execFile)('scp', ['-F', ssh, 'web:/etc/life', join(folder, 'copied')], { env });
    expect(readFileSync(join(folder, 'copied'), 'utf8')).toBe('web\n');
    await look('life-clones', '/runs');
    await expect.poll(() => page.getByText('is up', { exact: true }).count()).toBe(4);
    expect(await slipway('ps')).toMatch(
      new RegExp(
        `^${clone.slice(-8)} +life:1 +running .* db, web$|^${clone.slice(-8)} +life:1 +running .* web, db$`,
        'm',
      ),
    );
    expect(await metric('slipway_clone_machines')).toBe(4);
  });

  test('has no more clones than the farm has room for', { timeout: LONG_MS }, async () => {
    const third = await run('life', '--no-wait');
    await expect.poll(() => slipway('ps', third, '--why'), { timeout: SEEN_MS }).toMatch(/life/);
    const { clusters } = JSON.parse(await slipway('ps', '--json'));
    expect(clusters[0].inUse.vms).toBe(4);
    expect(await viewOf(third)).toMatchObject({ state: 'starting', until: null });
    await slipway('stop', third);
    await expect.poll(() => viewOf(third)).toBeUndefined();
  });

  test('continues in its clones while every process of the farm is killed', { timeout: LONG_MS }, async () => {
    const bootId = () => inside(`${clone}/db`, 'cat /proc/sys/kernel/random/boot_id');
    const before = await bootId();
    const { until } = (await viewOf(clone)) ?? {};
    for (const pid of Object.values(farm.current().pids).flat()) process.kill(pid, 'SIGKILL');
    farm = await startFarm({ dataDir: farm.dataDir, flags: FLAGS });
    expect(await viewOf(clone)).toMatchObject({ state: 'running', until });
    expect(await bootId()).toBe(before);
  });

  test('has clones that end when their machines go off, are stopped, or have had their time', {
    timeout: LONG_MS,
  }, async () => {
    const [other] = (await farm.client.runs()).filter(({ buildId }) => buildId !== clone);
    const powerOff = (vm: string) => farm.slipway('ssh', `${other?.buildId}/${vm}`, '--', 'poweroff');
    await powerOff('db');
    const seen = async () => (await viewOf(other?.buildId ?? ''))?.vms;
    await expect.poll(seen, { timeout: SEEN_MS }).toContainEqual({ vm: 'db', isUp: false, isOff: true });
    await page.goto(`${farm.connection.url}/runs`);
    await page.getByText('is off', { exact: true }).waitFor();
    await powerOff('web');
    await expect.poll(seen, { timeout: SEEN_MS }).toBeUndefined();
    await page.goto(`${farm.connection.url}/runs`);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Stop this clone of life:1' }).click();
    await page.getByText('No clones are running.').waitFor();
    const { stderr } = await farm.slipway('ssh', `${clone}/web`, '--', 'true');
    expect(stderr).toContain(`VM "web" of the clone ${clone} is gone: the clone has ended.`);
    const brief = await run('child', '--ttl', '20s');
    await expect.poll(() => viewOf(brief), { timeout: SEEN_MS }).toBeUndefined();
    for (const kind of ['virtualmachines', 'virtualmachineinstances', 'pods', 'subnets']) {
      expect(await remainingObjects(farm.connection.kubeconfig, kind, 'slipway.dev/role=build'), kind).toEqual([]);
    }
  });

  test('is rebuilt, and superfluous versions are removed', { timeout: LONG_MS }, async () => {
    await build(LIFE, '--rebuild', 'life');
    expect(await slipway('images', 'life')).toMatch(/^life:2 +current/m);
    await slipway('image', 'untag', 'life@first');
    await farm.client.images.untag('life', 'checked');
    const used = async () => (await farm.client.storage()).clusters[0]?.images.count;
    expect(await used()).toBe(5);
    await look('life-disk-use', '/clusters');
    await page.getByRole('row', { name: /^Images 5 / }).waitFor();
    // A tag keeps the first one.
    expect(await slipway('image', 'prune', '--keep', '1', '--dry-run')).toContain('0 images would be removed.');
    await slipway('image', 'untag', 'life@stable');
    expect(await slipway('image', 'prune', '--keep', '1', '--dry-run')).toMatch(
      /^life:1 [\s\S]*^1 image would be removed\.$/m,
    );
    await look('life-prune', '/images');
    await page.getByText('Remove old images').click();
    await page.getByLabel('Newest versions').fill('1');
    await page.getByRole('button', { name: 'Show what would go' }).click();
    await page.getByText('1 image would be removed.').waitFor();
    expect((await farm.client.images.prune({ keep: 1 })).images).toMatchObject([{ module: 'life', version: 1 }]);
    await expect.poll(used, { timeout: SEEN_MS }).toBe(3);
    const snapshots = await kubectl(
      farm.connection.kubeconfig,
      'get',
      'volumesnapshots',
      '-A',
      '-l',
      'slipway.dev/role=layer',
      '-o',
      'name',
    );
    expect(snapshots.trim().split('\n')).toHaveLength(3);
    expect(await slipway('df')).toMatch(/^local +[\d.]+ [MG]iB \(3\) /m);
    await page.goto(`${farm.connection.url}/images`);
    await page.locator('summary[aria-label="Remove child:1"]').click();
    await page.getByRole('button', { name: 'Remove child:1' }).click();
    await expect.poll(used, { timeout: SEEN_MS }).toBe(2);
    expect(complaints).toEqual([]);
  });
});

describe('a failure', () => {
  let buildId: string;

  test('is kept for a person with its deadline, wherever people look', { timeout: LONG_MS }, async () => {
    buildId = (await build(MENDED, '--on-error=keep=30m', '--no-wait')).trim();
    await expect.poll(kept, { timeout: LONG_MS }).toMatchObject({ step: 0, kept: { why: 'failed' } });
    expect(await slipway('ps', buildId)).toMatch(
      /step 1 "look for it" failed and is kept for you:[\s\S]*given up at \d{4}-/,
    );
    expect((await farm.client.clusters())[0]?.inUse.vms).toBe(1);
    expect(await metric('slipway_handbuilds_waiting')).toBe(1);
    await look('failure-kept', `/builds/${buildId}`);
    const byHand = page.getByRole('region', { name: 'By hand' });
    await byHand.getByText(/failed, and its machine is kept for you.*given up at \d/).waitFor();
  });

  test('is mended by who logs in, and the step is run again', { timeout: LONG_MS }, async () => {
    expect(await inside(`${buildId}/vm`, 'echo by a person > /root/mended; id -un')).toBe('root\n');
    await page.getByRole('region', { name: 'By hand' }).getByRole('button', { name: 'Run it again' }).click();
    await page.getByRole('button', { name: 'Run it', exact: true }).click();
    await page.getByRole('link', { name: 'mended: succeeded' }).waitFor();
    await page.getByRole('log').getByText('by a person', { exact: true }).waitFor();
    await look('failure-mended', `/builds/${buildId}`);
  });

  test('is in the provenance and in the evidence of the build', { timeout: LONG_MS }, async () => {
    const { runDetails } = (await farm.client.images.provenance('mended')).predicate;
    expect(runDetails.slipway_changedByHand).toBe(true);
    expect(runDetails.slipway_steps.map(({ step, attempt, outcome }) => [step, attempt, outcome])).toEqual([
      [0, 0, 'failed'],
      [0, 1, 'succeeded'],
      [1, 0, 'succeeded'],
    ]);
    expect(await slipway('image', 'show', 'mended')).toContain('a person continued the build after a failed step');
    const archive = join(folder, 'evidence.tar.gz');
    await slipway('build', 'export', buildId, '-o', archive);
    const { stdout } = await promisify(execFile)('tar', ['-tzf', archive]);
    const files = stdout.split('\n').map((path) => path.slice(path.indexOf('/') + 1));
    for (const file of EVIDENCE) expect(files).toContain(file);
    await look('failure-provenance', `/builds/${buildId}`);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download everything' }).click(),
    ]);
    const listed = await promisify(execFile)('tar', ['-tzf', await download.path()]);
    expect(listed.stdout.split('\n').sort()).toEqual(stdout.split('\n').sort());
  });

  test('is given up, and tried again from where it can be', { timeout: LONG_MS }, async () => {
    const failed = (await build(MENDED, '--no-cache', '--on-error=keep', '--no-wait')).trim();
    buildId = failed;
    await expect.poll(kept, { timeout: LONG_MS }).toMatchObject({ step: 0 });
    await slipway('release', `${failed}/vm`);
    await expect.poll(async () => (await farm.client.build(failed)).state, { timeout: SEEN_MS }).toBe('failed');
    await look('failure-given-up', `/builds/${failed}`);
    await page.getByRole('link', { name: 'step 1, look for it' }).click();
    await page.getByRole('log').getByText('not yet', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Retry what did not succeed' }).click();
    await page.getByText(/from the start: /).waitFor();
    await page.getByRole('button', { name: 'Cancel build' }).click();
    await page.getByRole('button', { name: 'Yes, cancel it' }).click();
    await page.getByRole('status').getByText('cancelled').waitFor();
    expect(complaints).toEqual([]);
  });

  async function kept() {
    return (await farm.client.build(buildId)).modules[0]?.vms[0]?.handbuild;
  }
});

/** Clones of which every machine is up. */
async function runsUp(): Promise<number> {
  return (await farm.client.runs()).filter(({ state }) => state === 'running').length;
}

/** The sum of a metric over its labels. */
async function metric(name: string): Promise<number> {
  const { url, token } = farm.connection;
  const text = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
  const samples = text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? ([\\d.e+]+)$`, 'gm'));
  return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
}
