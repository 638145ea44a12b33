import type { Duplex } from 'node:stream';
import type { ConsoleFront } from '../../common/console/console-front.ts';
import { ConsoleRelay, type ConsoleRelayOptions, type RelayedConsole, type RelayViewer } from './console-relay.ts';

/** The consoles that are watched through this scheduler. */
export class ConsoleRelays {
  readonly #options: ConsoleRelayOptions;
  readonly #relays = new Map<string, ConsoleRelay>();

  constructor(options: ConsoleRelayOptions) {
    this.#options = options;
  }

  /** Adds a viewer of a VM of a layer build that has not ended. */
  attach(stream: Duplex, console: RelayedConsole, viewer: RelayViewer): void {
    this.#relayOf(console).attach(stream, viewer);
  }

  /** The console of that lease, for other schedulers. */
  find(lease: string): ConsoleFront | undefined {
    return this.#ofLease(lease)?.consoleOf(lease);
  }

  /** Whether a step on the machine waits for a person. */
  isWaiting(lease: string): boolean {
    return this.#ofLease(lease)?.isWaiting ?? false;
  }

  /** Ends all sessions, and gives the consoles back. */
  async close(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.end()));
  }

  #ofLease(lease: string): ConsoleRelay | undefined {
    return [...this.#relays.values()].find((relay) => relay.consoleOf(lease) !== undefined);
  }

  #relayOf(console: RelayedConsole): ConsoleRelay {
    const { kind, vm } = console;
    const key = `${vm.layerBuild}/${vm.vm}/${kind.stream}`;
    const known = this.#relays.get(key);
    if (known) return known;
    const relay = new ConsoleRelay(this.#options, console, () => this.#relays.delete(key));
    this.#relays.set(key, relay);
    return relay;
  }
}
