import type { Duplex } from 'node:stream';
import type { SharedConsole } from '../../common/console/shared-console.ts';
import type { PlacedVm } from '../../common/redis/handbuilds.ts';
import { ConsoleRelay, type ConsoleRelayOptions, type RelayViewer } from './console-relay.ts';

/** The consoles that somebody looks at through this scheduler. */
export class ConsoleRelays {
  readonly #options: ConsoleRelayOptions;
  readonly #relays = new Map<string, ConsoleRelay>();

  constructor(options: ConsoleRelayOptions) {
    this.#options = options;
  }

  /** Lets somebody look at a VM of a layer build that has not ended. */
  attach(stream: Duplex, vm: PlacedVm, viewer: RelayViewer): void {
    this.#relayOf(vm).attach(stream, viewer);
  }

  /** The console of a machine, for other schedulers. */
  find(machine: string): SharedConsole | undefined {
    return this.#ofMachine(machine)?.consoleOf(machine);
  }

  /** Whether a step on the machine waits for a person. */
  isWaiting(machine: string): boolean {
    return this.#ofMachine(machine)?.isWaiting ?? false;
  }

  /** Ends all sessions, and gives the consoles back. */
  async close(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.end()));
  }

  #ofMachine(machine: string): ConsoleRelay | undefined {
    return [...this.#relays.values()].find((relay) => relay.consoleOf(machine) !== undefined);
  }

  #relayOf(vm: PlacedVm): ConsoleRelay {
    const key = `${vm.layerBuild}/${vm.vm}`;
    const known = this.#relays.get(key);
    if (known) return known;
    const relay = new ConsoleRelay(this.#options, vm, () => this.#relays.delete(key));
    this.#relays.set(key, relay);
    return relay;
  }
}
