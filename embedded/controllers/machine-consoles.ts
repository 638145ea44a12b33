import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { PNG } from 'pngjs';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ApiError } from '../api/api-error.ts';
import type { Store } from '../api/store.ts';
import type { MachineAccess, MachineRef } from '../api/subresources/machine-access.ts';
import { makeSharedFile, openShared } from '../host/shared-directory.ts';
import type { Machine } from '../qemu/machine.ts';
import { parsePpm } from '../qemu/ppm.ts';
import { uidOf } from './context.ts';
import type { MachineRegistry } from './machine-registry.ts';

type Streams = 'vnc' | 'serial';

/** virt-api passes the refusal of virt-handler on. */
const SESSION_PRESERVED =
  "Internal error occurred: Can't connect to websocket (503): websocket: bad handshake: application info: Active VNC connection. Request denied.";

/** Four bytes a pixel, 8 K. */
const LARGEST_PICTURE = 128 * 1024 ** 2;

/** The part of the access that concerns machines; pods have their own. */
export type VirtualMachineAccess = Omit<MachineAccess, 'openPodPort' | 'podLog'>;

/** Screens, serial ports and power of the running machines. */
export class MachineConsoles implements VirtualMachineAccess {
  readonly #store: Store;
  readonly #machines: MachineRegistry;
  /** The one open session per machine and stream. */
  readonly #sessions = new Map<string, Socket>();
  #nextPicture = 1;

  constructor(store: Store, machines: MachineRegistry) {
    this.#store = store;
    this.#machines = machines;
  }

  async openVnc(ref: MachineRef, { preserveSession }: { readonly preserveSession: boolean }): Promise<Duplex> {
    const machine = this.#find(ref);
    if (preserveSession && this.#sessions.has(sessionKey(machine, 'vnc'))) {
      throw new ApiError(500, 'InternalError', SESSION_PRESERVED);
    }
    return await this.#open(machine, 'vnc');
  }

  async openSerial(ref: MachineRef): Promise<Duplex> {
    return await this.#open(this.#find(ref), 'serial');
  }

  async screenshot(ref: MachineRef): Promise<Buffer> {
    const machine = this.#find(ref);
    return await dumpScreen(machine, join(machine.runDir, `screen-${this.#nextPicture++}`));
  }

  async pause(ref: MachineRef): Promise<void> {
    await this.#find(ref).pause();
  }

  async unpause(ref: MachineRef): Promise<void> {
    await this.#find(ref).resume();
  }

  /** Without an agent KubeVirt presses the power button and starts the guest again; here as there the guest decides. */
  async softReboot(ref: MachineRef): Promise<void> {
    await this.#find(ref).rebootByPowerButton();
  }

  async reset(ref: MachineRef): Promise<void> {
    await this.#find(ref).reset();
  }

  #find({ namespace, name }: MachineRef): Machine {
    const vmi = this.#store.get('VirtualMachineInstance', { namespace, name });
    const machine = vmi && this.#machines.get(uidOf(vmi));
    if (!machine || machine.state === 'gone') {
      throw new ApiError(404, 'NotFound', `virtualmachineinstance "${name}" is not running`);
    }
    return machine;
  }

  /** Ends the incumbent first: QEMU's serial port takes the next connection only when the last one has gone. */
  async #open(machine: Machine, stream: Streams): Promise<Socket> {
    const key = sessionKey(machine, stream);
    this.#sessions.get(key)?.destroy();
    const socket = openStream(machine.sockets[stream]);
    this.#sessions.set(key, socket);
    socket.once('close', () => {
      if (this.#sessions.get(key) === socket) this.#sessions.delete(key);
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('close', () => reject(new ApiError(500, 'InternalError', `The ${stream} session was taken over`)));
      socket.once('error', (error) => reject(new ApiError(500, 'InternalError', error.message)));
    });
    // An error after this point ends the stream, which the reader sees as its end.
    return socket.on('error', () => {});
  }
}

function sessionKey(machine: Machine, stream: Streams): string {
  return `${machine.runDir}/${stream}`;
}

function openStream(path: string): Socket {
  try {
    return openShared(path);
  } catch (error) {
    throw new ApiError(500, 'InternalError', errorMessage(error));
  }
}

/** QEMU writes PNG since 7.1 when it was built with libpng; before that it knows only PPM. */
async function dumpScreen(machine: Machine, filename: string): Promise<Buffer> {
  try {
    return await readScreen(machine, { filename, format: 'png' });
  } catch {
    const { width, height, rgb } = parsePpm(await readScreen(machine, { filename }));
    const picture = new PNG({ width, height, colorType: 2 });
    for (let pixel = 0; pixel < width * height; pixel++) {
      rgb.copy(picture.data, 4 * pixel, 3 * pixel, 3 * pixel + 3);
      picture.data[4 * pixel + 3] = 255;
    }
    return PNG.sync.write(picture);
  }
}

/** QEMU writes to a file of ours: a file of its own might be a link to another one. */
async function readScreen(
  machine: Machine,
  how: { readonly filename: string; readonly format?: 'png' },
): Promise<Buffer> {
  const file = await makeSharedFile(how.filename);
  try {
    await machine.qmp.execute('screendump', how);
    if ((await file.stat()).size > LARGEST_PICTURE) throw new Error('QEMU wrote no picture of a screen');
    return await file.readFile();
  } finally {
    await file.close();
    await rm(how.filename, { force: true });
  }
}
