import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { generateKeyPair } from '../../common/ssh/key-pair.ts';
import { startDockerRegistry } from '../harness/docker-registry.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { type ImageRegistry, startImageRegistry } from '../harness/image-registry.ts';
import { kubectl } from '../harness/kubectl.ts';
import { bootOutput } from '../harness/plain-boot.ts';

const BUILD_MS = 300_000;
const NAMESPACE = 'slipway';
const TOKEN = 'a token that must stay secret';
const NOTE = 'a note\nhttp://{{ .HTTPIP }}:{{ .HTTPPort }}/note.txt\n';
const pair = generateKeyPair('mine');
/** Of what `sources` has become; its own key lets the farm in. */
const FROM_REGISTRY = `
name: again
vms:
  - name: vm
    SOURCE
    resources: { cpu: 1, memory: 256Mi }
    communicator: { sshPrivateKeySecret: { name: login, key: id } }
    cloudInit: { userData: '#cloud-config' }
    provisioners: [{ type: shell, shell: { inline: [cat /root/mark] } }]
`;

describe('a module whose parts lie on the cluster, in a registry and on a web server', () => {
  let farm: TestFarm;
  let registry: ImageRegistry;
  let note: ServedFile;
  let disk: Buffer;

  beforeAll(async () => {
    disk = await readFile((await guestImages()).cloudImage);
    registry = await startImageRegistry({ tokens: true });
    await registry.push('disks/tiny:1', { layers: [{ files: { 'disk/tiny.qcow2': disk } }], indexed: true });
    const folder = await mkdtemp(join(tmpdir(), 'slipway-note-'));
    await writeFile(join(folder, 'note.txt'), NOTE);
    note = await serveFile(join(folder, 'note.txt'), undefined, 'ci:hunter2');
    farm = await startFarm();
    await farm.client.setSecret('files', 'hunter2');
    const create = (...args: string[]) => kubectl(farm.connection.kubeconfig, '-n', NAMESPACE, 'create', ...args);
    const userData = '#cloud-config\nruncmd:\n  - echo seeded > /root/mark\n';
    await create('configmap', 'seeds', `--from-literal=user-data=${userData}`);
    await create('configmap', 'scripts', `--from-literal=setup.sh=${script('one')}`);
    await create('secret', 'generic', 'login', `--from-literal=id=${pair.privateKey}`, `--from-literal=token=${TOKEN}`);
  }, 180_000);

  afterAll(async () => {
    await farm?.purge();
    await registry?.stop();
    await note?.stop();
  }, 60_000);

  test('is built from them', { timeout: BUILD_MS }, async () => {
    const { lines, events } = await build();
    expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
    const [type, key] = pair.publicKey.split(' ');
    const files = ['floppy', 'HTTP', 'file step'].map((way) => `${way}: a note`);
    const rest = ['nothing', `${type} ${key}`, 'version one', ...files];
    expect(lines).toEqual(['seeded', '***', String(TOKEN.length), ...rest]);
    expect(JSON.stringify(events)).not.toMatch(new RegExp(`${TOKEN}|hunter2`));
  });

  test('leaves the farm as a file that boots by itself', { timeout: BUILD_MS }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-out-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const [image] = await farm.client.images.list();
    const name = `${image?.module}:${image?.version}`;
    const [file, other] = [join(folder, 'disk.qcow2'), join(folder, 'disk.vmdk')];
    const exported = await farm.slipway('image', 'export', name, '-o', file);
    expect(exported).toMatchObject({ exitCode: 0, stderr: '' });
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    expect(exported.stdout).toContain(`SHA-256 ${sha256}, verified.`);
    expect(await bootOutput(file, 'qcow2')).toMatch(/login: $/);
    expect(await farm.slipway('image', 'export', name, '--format', 'vmdk', '-o', other)).toMatchObject({ exitCode: 0 });
    const run = promisify(execFile);
    expect((await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'vmdk', file, other])).stdout).toBe(
      'Images are identical.\n',
    );
    const left = await kubectl(
      farm.connection.kubeconfig,
      '-n',
      NAMESPACE,
      'get',
      'vmexports,dv,pvc,secrets',
      '-o',
      'name',
    );
    expect(left).not.toContain('sw-export');
  });

  test('goes to a registry as a container disk, from which a module is built', { timeout: BUILD_MS }, async () => {
    const shop = await startDockerRegistry();
    onTestFinished(() => shop.stop());
    const pushed = await farm.slipway('image', 'push', 'sources', `${shop.host}/farm/sources:1`);
    expect(pushed).toMatchObject({ exitCode: 0, stderr: '' });
    const [, source] = /(source: .*)\n$/.exec(pushed.stdout) ?? [];
    const text = FROM_REGISTRY.replace('SOURCE', String(source));
    const { lines, events } = await build({ files: [{ path: 'again.yaml', text }], variables: {} });
    expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
    expect(lines).toEqual(['seeded']);
  });

  test('is reused as long as all of them are the same, and no longer', async () => {
    expect(await action()).toBe('reuse');
    await putScript('two');
    expect(await action()).toBe('build');
    await putScript('one');
    expect(await action()).toBe('reuse');
    await registry.push('disks/tiny:1', { layers: [{ files: { 'disk/tiny.qcow2': disk, motd: Buffer.from('new') } }] });
    expect(await action()).toBe('build');
  });

  test('takes what lies beside a module, sends it once, and knows it again by its content', {
    timeout: BUILD_MS,
  }, async () => {
    const folder = await besideModule((await guestImages()).cloudImage);
    onTestFinished(() => rm(folder, { recursive: true }));
    const built = await farm.slipway('build', join(folder, 'beside.yaml'));
    expect(built.stderr + built.stdout).toContain('succeeded');
    expect(built.exitCode).toBe(0);
    const expected = ['for the site', '750', 'a tool', 'void', 'a page', 'another tool'];
    for (const line of expected) expect(built.stdout).toContain(line);
    const held = await readdir(join(farm.dataDir, 'blobs', 'whole'));
    expect(held.length).toBe(5);
    const planned = await farm.slipway('plan', '--json', join(folder, 'beside.yaml'));
    expect(JSON.parse(planned.stdout).modules).toMatchObject([{ action: 'reuse' }]);
    await writeFile(join(folder, 'tree', 'bin', 'tool'), 'echo another tool');
    const changed = await farm.slipway('plan', '--json', join(folder, 'beside.yaml'));
    expect(JSON.parse(changed.stdout).modules).toMatchObject([{ action: 'build' }]);
  });

  function submission() {
    const files = readModuleFiles([packagePath('test', 'e2e', 'modules', 'sources.yaml')]);
    const variables = { IMAGE: `${registry.host}/disks/tiny:1`, NOTE: note.url.replace('http://', '') };
    return { files, variables };
  }

  async function action() {
    return (await farm.client.plan(submission())).modules[0]?.action;
  }

  async function putScript(version: string): Promise<void> {
    const patch = JSON.stringify({ data: { 'setup.sh': script(version) } });
    const args = ['patch', 'configmap', 'scripts', '--type=merge', '-p', patch];
    await kubectl(farm.connection.kubeconfig, '-n', NAMESPACE, ...args);
  }

  /** The lines that the steps printed. */
  async function build(sent: Parameters<typeof farm.client.submit>[0] = submission()) {
    const { buildId } = await farm.client.submit(sent);
    const events: StoredEvent[] = [];
    for await (const event of farm.client.events(buildId)) events.push(event);
    const lines = events.flatMap((event) => (event.event === 'log' && event.source === 'step' ? [event.line] : []));
    return { events, lines };
  }
});

/** A folder with a module that is made of what lies beside it. */
async function besideModule(image: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-beside-'));
  for (const name of ['www/sub', 'tree/bin', 'tree/void']) await mkdir(join(folder, name), { recursive: true });
  await copyFile(packagePath('test', 'e2e', 'modules', 'beside.yaml'), join(folder, 'beside.yaml'));
  await copyFile(image, join(folder, 'my disk.qcow2'));
  await writeFile(join(folder, 'site.conf'), 'for the site\n');
  await writeFile(join(folder, 'www', 'sub', 'page'), 'a page\n');
  await writeFile(join(folder, 'tree', 'bin', 'tool'), '#!/bin/sh\necho a tool\n');
  await chmod(join(folder, 'tree', 'bin', 'tool'), 0o750);
  const lines = [
    'cat /root/site.conf',
    'stat -c %a /opt/tree/bin/tool',
    '/opt/tree/bin/tool',
    'ls /opt/tree | grep void',
    `relay=$(awk '/^nameserver/ { print $2; exit }' /etc/resolv.conf)`,
    'wget -q -O - "http://$relay:$PORT/sub/page"',
    'wget -q -O - "http://$relay:$PORT/tree/bin/tool" | sed -n "s/echo a/another/p"',
  ];
  await writeFile(join(folder, 'setup.sh'), lines.map((line) => `${line}\n`).join(''));
  return folder;
}

function script(version: string): string {
  return [
    'cat /root/mark /root/token && echo',
    'wc -c < /root/token',
    'test -e /root/absent || echo nothing',
    'cut -d " " -f 1,2 /root/.ssh/authorized_keys',
    `echo version ${version}`,
    'note=$(for disc in /dev/sr? /dev/vd?; do',
    '  mount -o ro $disc /mnt 2>/dev/null || continue; cat /mnt/note.txt 2>/dev/null; umount /mnt',
    'done)',
    'echo "floppy: $(echo "$note" | head -n 1)"',
    'echo "HTTP: $(wget -q -O - "$(echo "$note" | tail -n 1)" | head -n 1)"',
    'echo "file step: $(head -n 1 /root/note.txt)"',
  ].join('\n');
}
