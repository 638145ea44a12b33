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

async function makeSeed(name: string, publicKey: string): Promise<string> {
  const folder = join(directory, name);
  await mkdir(folder);
  await writeFile(join(folder, 'meta-data'), `instance-id: ${name}\nlocal-hostname: host-${name}\n`);
  await writeFile(
    join(folder, 'user-data'),
    `#cloud-config\nssh_authorized_keys:\n  - ${publicKey}\nruncmd:\n  - [sh, -c, "hostname > /root/ran-${name}"]\n`,
  );
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

const commandsDone = 'until [ -e /run/seed/done ]; do usleep 20000; done';

describe('tiny guest', () => {
  it('honours its seed once per instance, grows its root and powers off by ACPI', async () => {
    const disk = await makeDisk('cloud', images.cloudImage);
    const first = await start({
      disk,
      cdrom: await makeSeed('one', firstKey.publicKey),
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
      cdrom: await makeSeed('two', secondKey.publicKey),
      nic: 'virtio-net-pci',
      firmware: 'bios',
    });
    await second.saw('tiny: ready');
    const again = await connect(second, secondKey);
    expect(await again.run(`${commandsDone}; hostname; cat /root/ran-two /root/by-sftp`)).toBe(
      'host-two\nhost-two\ncarried over',
    );
  }, 60_000);

  it('starts under UEFI', async () => {
    const machine = await start({
      disk: await makeDisk('uefi', images.cloudImage),
      cdrom: await makeSeed('uefi', firstKey.publicKey),
      nic: 'virtio-net-pci',
      firmware: 'uefi',
    });
    await machine.saw('tiny: ready');
    const ssh = await connect(machine, firstKey);
    expect(await ssh.run('[ -d /sys/firmware/efi ] && hostname')).toBe('host-uefi');
  }, 60_000);
});
