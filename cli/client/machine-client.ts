import type { Duplex } from 'node:stream';
import { addressOf } from '../../common/contracts/api/request.ts';
import { openConsole } from './console-stream.ts';
import type { FarmApi, FollowOptions } from './farm-api.ts';

/** Whose serial port is read. */
interface SerialRequest {
  readonly vm: string;
  /** The layer build that the VM belongs to. */
  readonly layerBuild: string;
  /** Whether to continue until that has ended. */
  readonly follow: boolean;
}

/** Screens, consoles and logins of the machines of a farm. Every method throws as `FarmApi` does. */
export class MachineClient {
  readonly #api: FarmApi;

  constructor(api: FarmApi) {
    this.#api = api;
  }

  /** The screen of a VM (PNG): live, or the picture that was kept. */
  async screenshot(id: string, vm: string): Promise<Buffer> {
    return Buffer.from(await (await this.#api.fetch('readScreenshot', { params: { id, vm } })).arrayBuffer());
  }

  /** Opens the console of a VM: raw RFB bytes. */
  openConsole(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#api.farm, addressOf('openConsole', { params: { id, vm } }));
  }

  /** Opens the first serial port of a VM: bytes as they are. */
  openSerialConsole(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#api.farm, addressOf('openSerialConsole', { params: { id, vm } }));
  }

  /** How to log in to a VM on which a step waits. */
  sshAccess(id: string, vm: string) {
    return this.#api.call('readSshAccess', { params: { id, vm } });
  }

  /** Opens the SSH server of a VM on which a step waits: bytes as they are. */
  openSsh(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#api.farm, addressOf('openSsh', { params: { id, vm } }));
  }

  /** Serial output of a machine, then live if requested. */
  serial(id: string, { vm, layerBuild, follow }: SerialRequest, options: FollowOptions = {}) {
    const request = { params: { id, vm }, query: { layerBuild } };
    if (follow) return this.#api.follow('streamSerial', request, ({ ended }) => ended, options);
    return this.#api.stream('streamSerial', { ...request, query: { layerBuild, follow: 'false' } });
  }
}
