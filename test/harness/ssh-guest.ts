import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import ssh2 from 'ssh2';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { guestImages } from './guest-images.ts';

const run = promisify(execFile);

/** A real guest of the tests, in a QEMU of its own. */
export interface SshGuest {
  /** Key of `root`, in OpenSSH's format. */
  readonly privateKey: string;
  readonly password: string;
  /** Port of 127.0.0.1 that leads to the guest's port 22. It accepts before the guest listens. */
  readonly port: number;
  /** Opens a connection to the guest's port 22. */
  dial(): Promise<Socket>;
}

/** Boots the tiny guest with a key and a password for `root`. Resolves when QEMU runs; wait for SSH yourself. */
export async function startSshGuest(resources: ReleaseStack): Promise<SshGuest> {
  const { cloudImage } = await guestImages();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-guest-'));
  resources.defer('guest folder', () => rm(folder, { recursive: true, force: true }));
  const keys = ssh2.utils.generateKeyPairSync('ed25519', { comment: 'test' });
  const password = 'correct horse';
  const userData = ['#cloud-config', 'hostname: guest', `password: ${password}`, 'ssh_authorized_keys:'];
  await writeFile(join(folder, 'user-data'), [...userData, `  - ${keys.public}`, ''].join('\n'));
  await writeFile(join(folder, 'meta-data'), 'instance-id: test\n');
  const [seed, disk] = [join(folder, 'seed.iso'), join(folder, 'disk.qcow2')];
  const volume = ['-volid', 'cidata', '-joliet', '-rock', join(folder, 'user-data'), join(folder, 'meta-data')];
  await run('xorriso', ['-as', 'mkisofs', '-output', seed, ...volume]);
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', cloudImage, '-F', 'qcow2', disk]);
  const monitor = join(folder, 'qmp.sock');
  const qemu = spawn('qemu-system-x86_64', [
    ...['-accel', 'tcg,thread=multi', '-machine', 'q35', '-m', '256', '-display', 'none', '-nodefaults'],
    ...['-drive', `file=${disk},if=virtio`, '-drive', `file=${seed},if=virtio,format=raw,readonly=on`],
    ...['-netdev', 'user,id=net,hostfwd=tcp:127.0.0.1:0-:22', '-device', 'virtio-net-pci,netdev=net'],
    ...['-device', 'virtio-rng-pci', '-qmp', `unix:${monitor},server=on,wait=off`],
  ]);
  resources.defer('guest', () => void qemu.kill('SIGKILL'));
  const port = await forwardedPort(monitor);
  const dial = () =>
    new Promise<Socket>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket)).on('error', reject);
    });
  return { privateKey: keys.private, password, port, dial };
}

async function forwardedPort(monitor: string): Promise<number> {
  const socket = await dialMonitor(monitor);
  try {
    const usernet = { execute: 'human-monitor-command', arguments: { 'command-line': 'info usernet' } };
    socket.write(`${JSON.stringify({ execute: 'qmp_capabilities' })}\n${JSON.stringify(usernet)}\n`);
    for await (const line of createInterface({ input: socket })) {
      const port = /HOST_FORWARD\D+\d+\s+127\.0\.0\.1\s+(\d+)/.exec(line)?.[1];
      if (port) return Number(port);
    }
    throw new Error('QEMU did not tell the forwarded port.');
  } finally {
    socket.destroy();
  }
}

async function dialMonitor(path: string): Promise<Socket> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path, () => resolve(socket)).on('error', reject);
      });
    } catch (error) {
      if (attempt > 100) throw error;
      await delay(50);
    }
  }
}
