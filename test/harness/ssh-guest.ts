import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { generateKeyPair } from '../../common/ssh/key-pair.ts';
import { TestMachine } from '../guest/test-machine.ts';
import { guestImages } from './guest-images.ts';

const run = promisify(execFile);

/** A real guest of the tests, in a QEMU of its own. */
export interface SshGuest {
  /** Key of `root`, in OpenSSH's format. */
  readonly privateKey: string;
  /** Port of 127.0.0.1 that leads to the guest's port 22. It accepts before the guest listens. */
  readonly port: number;
  /** Opens a connection to the guest's port 22. */
  dial(): Promise<Socket>;
}

/** Boots the tiny guest with a key for `root`. Resolves when its processor runs; wait for SSH yourself. */
export async function startSshGuest(resources: ReleaseStack): Promise<SshGuest> {
  const { cloudImage } = await guestImages();
  const directory = await mkdtemp(join(tmpdir(), 'slipway-guest-'));
  resources.defer('guest folder', () => rm(directory, { recursive: true, force: true }));
  const keys = generateKeyPair('test');
  const [userData, metaData] = [join(directory, 'user-data'), join(directory, 'meta-data')];
  await writeFile(userData, `#cloud-config\nhostname: guest\nssh_authorized_keys:\n  - ${keys.publicKey}\n`);
  await writeFile(metaData, 'instance-id: test\n');
  const [cdrom, disk] = [join(directory, 'seed.iso'), join(directory, 'disk.qcow2')];
  await run('xorriso', ['-as', 'mkisofs', '-output', cdrom, '-volid', 'cidata', '-J', '-r', userData, metaData]);
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', cloudImage, '-F', 'qcow2', disk]);
  const machine = await TestMachine.start({ directory, disk, cdrom, nic: 'virtio-net-pci', firmware: 'bios' });
  resources.defer('guest', () => machine.kill());
  const dial = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect(machine.sshPort, '127.0.0.1', () => resolve(socket)).on('error', reject);
    });
  return { privateKey: keys.privateKey, port: machine.sshPort, dial };
}
