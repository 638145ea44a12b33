import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { generateKeyPair, type SshKeyPair } from '../../common/ssh/key-pair.ts';
import { type GuestImages, guestImages } from '../harness/guest-images.ts';
import { GuestSsh } from './guest-ssh.ts';
import { TestMachine, type TestMachineOptions } from './test-machine.ts';

const run = promisify(execFile);
const firstKey = generateKeyPair('the first key');
const secondKey = generateKeyPair('the second key');

let images: GuestImages;
let directory: string;
let resources = new ReleaseStack();

beforeAll(async () => {
  images = await guestImages();
  directory = await mkdtemp(join(tmpdir(), 'guest-test-'));
}, 300_000);
afterEach(async () => {
  await resources.close();
  resources = new ReleaseStack();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function makeDisk(name: string, backing?: string): Promise<string> {
  const path = join(directory, `${name}.qcow2`);
  const from = backing ? ['-F', 'qcow2', '-b', backing] : [];
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', ...from, path, '3G']);
  return path;
}

function cloudConfig(name: string, publicKey: string): string {
  return `#cloud-config\nssh_authorized_keys:\n  - ${publicKey}\nruncmd:\n  - [sh, -c, "hostname > /root/ran-${name}"]\n`;
}

async function makeSeed(name: string, userData: string): Promise<string> {
  const folder = join(directory, name);
  await mkdir(folder);
  await writeFile(join(folder, 'meta-data'), `instance-id: ${name}\nlocal-hostname: host-${name}\n`);
  await writeFile(join(folder, 'user-data'), userData);
  const iso = `${folder}.iso`;
  await run('xorriso', ['-as', 'mkisofs', '-quiet', '-V', 'cidata', '-J', '-r', '-o', iso, folder]);
  return iso;
}

async function start(options: Omit<TestMachineOptions, 'directory'>): Promise<TestMachine> {
  const machine = await TestMachine.start({ directory, ...options });
  resources.defer('machine', () => machine.kill());
  return machine;
}

async function connect(machine: TestMachine, key: SshKeyPair): Promise<GuestSsh> {
  return resources.use('ssh', await GuestSsh.connect(machine.sshPort, key.privateKey), (ssh) => ssh.close());
}

/** A message as cloud-init takes it: parts inside parts, encoded or not, with and without a type that is enough. */
function mimeSeed(publicKey: string): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64').replaceAll(/.{20}/g, '$&\n');
  const former = '#cloud-config\nruncmd: [touch /root/replaced]\nwrite_files: [{ path: /root/kept, content: kept }]\n';
  const hook = `#cloud-boothook
#!/bin/sh
echo hook >> /root/hooks
[ ! -e "\${0%/*}/../sem/config_ssh" ] || echo late >> /root/hooks
`;
  return `Content-Type: multipart/mixed;
 boundary="outer"
MIME-Version: 1.0

--outer
Content-Type: multipart/mixed; boundary=inner

--inner
Content-Type: text/plain
Content-Transfer-Encoding: base64

${base64(former)}
--inner
Content-Type: text/cloud-config; charset="utf-8"

${cloudConfig('two', publicKey)}
--inner--

--outer
Content-Type: text/cloud-boothook
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="a-hook"

${base64(hook)}
--outer
Content-Type: text/x-shellscript

#!/bin/sh
echo "script in \${0##*/}" > /root/script
--outer--
`;
}

const commandsDone = 'until [ -e /run/seed/done ]; do usleep 20000; done';

describe('tiny guest', () => {
  it('honours its seed once per instance, grows its root and powers off by ACPI', async () => {
    const disk = await makeDisk('cloud', images.cloudImage);
    const first = await start({
      disk,
      cdrom: await makeSeed('one', cloudConfig('one', firstKey.publicKey)),
      nic: 'e1000',
      firmware: 'bios',
    });
    await first.saw('tiny: ready');
    const ssh = await connect(first, firstKey);
    await ssh.write('/root/by-sftp', 'carried over');
    expect(await ssh.run(`${commandsDone}; hostname; cat /root/ran-one`)).toBe('host-one\nhost-one');
    expect(Number(await ssh.run("df -m / | awk 'NR == 2 { print $2 }'"))).toBeGreaterThan(2800);
    await first.execute('system_powerdown');
    expect(await first.exited).toBe(0);

    const second = await start({
      disk,
      cdrom: await makeSeed('two', mimeSeed(secondKey.publicKey)),
      nic: 'virtio-net-pci',
      firmware: 'bios',
    });
    await second.saw('tiny: ready');
    const again = await connect(second, secondKey);
    expect(await again.run(`${commandsDone}; hostname; cat /root/ran-two /root/by-sftp`)).toBe(
      'host-two\nhost-two\ncarried over',
    );
    const found = 'cat /root/hooks /root/script /root/kept; echo; ls /root /var/lib/cloud/instance/boothooks';
    expect((await again.run(found)).split('\n')).toEqual([
      ...[
        'hook',
        'script in part-004',
        'kept',
        '/root:',
        'by-sftp',
        'hooks',
        'kept',
        'ran-one',
        'ran-two',
        'script',
        '',
      ],
      ...['/var/lib/cloud/instance/boothooks:', 'a-hook'],
    ]);
  }, 120_000);

  it('starts under UEFI', async () => {
    const machine = await start({
      disk: await makeDisk('uefi', images.cloudImage),
      cdrom: await makeSeed('uefi', cloudConfig('uefi', firstKey.publicKey)),
      nic: 'virtio-net-pci',
      firmware: 'uefi',
    });
    await machine.saw('tiny: ready');
    const ssh = await connect(machine, firstKey);
    expect(await ssh.run('[ -d /sys/firmware/efi ] && hostname')).toBe('host-uefi');
  }, 60_000);
});
