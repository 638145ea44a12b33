import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type ClientChannel } from 'ssh2';
import { runCommand } from '../../../embedded/host/run-command.ts';
import { watchAppearance } from '../../../embedded/host/watch-appearance.ts';
import { machineSockets, qemuArguments } from '../../../embedded/qemu/command-line.ts';
import type { DriveSpec } from '../../../embedded/qemu/machine-spec.ts';
import { QmpClient } from '../../../embedded/qemu/qmp-client.ts';

/** One machine without a farm, from QEMU's start until its guest is off again. */
export interface RawMachine {
  /** Empty; sockets and logs go there. */
  readonly folder: string;
  readonly accelerator: 'kvm' | 'tcg';
  /** A qcow2 file that is written to. */
  readonly disk: string;
  /** An ISO file behind the disk in the boot order. */
  readonly cdrom?: string;
  readonly privateKey: string;
  /** Typed `afterMs` after QEMU runs. */
  readonly typed?: { readonly afterMs: number; readonly line: string };
}

/** The lower bound of any build on this machine, in milliseconds. */
export interface RawTimes {
  /** From QEMU's start to a login. */
  readonly toLoginMs: number;
  /** From `poweroff` to the end of QEMU. */
  readonly shutdownMs: number;
}

/** What the host is to the guest in QEMU's user-mode network. */
export const HOST_ADDRESS = '10.0.2.2';
const BANNER_MS = 1_000;
const LOGIN_MS = 30_000;
const RETRY_MS = 20;
const HOLD_MS = 10;
const QCODES: Readonly<Record<string, readonly string[]>> = {
  ...{ ' ': ['spc'], '=': ['equal'], '/': ['slash'], '.': ['dot'], '-': ['minus'], '\n': ['ret'] },
  ':': ['shift', 'semicolon'],
};

/** A disk as large as the farm's here: an overlay on an image, or blank. */
export async function makeDisk(path: string, image?: string): Promise<string> {
  const from = image === undefined ? [] : ['-b', image, '-F', 'qcow2'];
  await runCommand('qemu-img', ['create', '-q', '-f', 'qcow2', ...from, path, '1G']);
  return path;
}

/** Runs the farm's own machine (its QEMU and arguments) with a network of QEMU's, logs in, and switches it off. */
export async function runRaw(machine: RawMachine): Promise<RawTimes> {
  mkdirSync(machine.folder, { recursive: true });
  const sockets = machineSockets(machine.folder);
  const listening = watchAppearance(machine.folder, sockets.qmp);
  const startedAt = performance.now();
  const qemu = start(machine);
  const ended = once(qemu, 'exit');
  try {
    await Promise.race([listening.appeared, ended.then(() => Promise.reject(new Error('QEMU ended at once')))]);
    const qmp = await openQmp(sockets.qmp);
    const port = await forwardedPort(qmp);
    if (machine.typed) {
      await pause(machine.typed.afterMs);
      await type(qmp, machine.typed.line);
    }
    const ssh = await logIn(port, machine.privateKey);
    const toLoginMs = performance.now() - startedAt;
    const askedAt = performance.now();
    ssh.exec('poweroff', (_error, channel: ClientChannel | undefined) => channel?.resume().stderr.resume());
    await ended;
    ssh.destroy();
    return { toLoginMs, shutdownMs: performance.now() - askedAt };
  } finally {
    listening.stop();
    qemu.kill('SIGKILL');
  }
}

function start({ folder, accelerator, disk, cdrom }: RawMachine): ChildProcess {
  const system: DriveSpec = {
    ...{ name: 'system', media: 'disk', bus: 'virtio', path: disk, format: 'qcow2', readOnly: false, bootOrder: 1 },
  };
  const disc: DriveSpec = { name: 'disc', media: 'cdrom', bus: 'sata', format: 'raw', readOnly: true, bootOrder: 2 };
  const args = qemuArguments({
    ...{ name: 'raw', uuid: randomUUID(), runDir: folder, accelerator, machineType: 'q35', memoryMiB: 256 },
    ...{ cpu: { sockets: 1, cores: 1, threads: 1, features: [] }, firmware: { kind: 'bios' }, nics: [] },
    drives: cdrom === undefined ? [system] : [system, { ...disc, path: cdrom }],
    ...{ hasGraphics: true, hasSerial: true, hasTablet: true, hasRng: false, hasPanicDevice: false },
    ...{ startPaused: false, endsOnReboot: false, clockBase: 'utc' },
  });
  const network = [
    '-netdev',
    'user,id=net,hostfwd=tcp:127.0.0.1:0-:22',
    '-device',
    'virtio-net-pci,netdev=net,romfile=',
  ];
  const all = [...args.filter((argument) => argument !== '-no-shutdown'), ...network];
  return spawn('qemu-system-x86_64', all, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The socket file appears a moment before QEMU listens on it. */
async function openQmp(path: string): Promise<QmpClient> {
  for (let attempts = 100; ; attempts -= 1) {
    try {
      return await QmpClient.open(path);
    } catch (error) {
      if (attempts === 0) throw error;
      await pause(2);
    }
  }
}

async function forwardedPort(qmp: QmpClient): Promise<number> {
  const network = String(await qmp.execute('human-monitor-command', { 'command-line': 'info usernet' }));
  return Number(/HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)/.exec(network)?.[1]);
}

async function type(qmp: QmpClient, line: string): Promise<void> {
  for (const character of `${line}\n`) {
    const codes = QCODES[character] ?? [character];
    const keys = codes.map((data) => ({ type: 'qcode', data }));
    await qmp.execute('send-key', { keys, 'hold-time': HOLD_MS });
    await pause(2 * HOLD_MS);
  }
}

async function logIn(port: number, privateKey: string): Promise<Client> {
  for (;;) {
    const sock = await untilSpoken(port);
    const client = new Client();
    try {
      const ready = once(client, 'ready');
      client.connect({ sock, username: 'root', privateKey, readyTimeout: LOGIN_MS });
      await ready;
      // Its end comes with the machine's.
      client.on('error', () => {});
      return client;
    } catch {
      client.destroy();
      await pause(RETRY_MS);
    }
  }
}

/** QEMU takes every connection, and the guest's server is there when it speaks. */
async function untilSpoken(port: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {});
    const signal = AbortSignal.timeout(BANNER_MS);
    try {
      await once(socket, 'readable', { signal });
      if (!socket.readableEnded && socket.readableLength > 0) return socket;
    } catch {
      // Silence, or a refusal.
    }
    socket.destroy();
    await pause(RETRY_MS);
  }
}
