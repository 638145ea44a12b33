import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import type { Connection, Pointer } from '../../common/contracts/connection.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { writePrivate } from '../private-file.ts';
import type { ListenAddress } from './listen-address.ts';
import type { FarmLimits } from './machine-limits.ts';
import { applySettings, type Settings } from './settings.ts';

/** Options of `slipway up`. */
export interface FarmOptions {
  readonly dataDir: string;
  /** 0 takes the port used before, or any that is free. */
  readonly port: number;
  readonly limits: FarmLimits;
  /** Processes per phase. */
  readonly workers: Readonly<Record<string, number>>;
  /** Duration as the configuration writes it. */
  readonly failureRetention: string;
  /** `retention.images`, as far as it is set. */
  readonly imageRetention: { readonly keep: number | undefined; readonly maxAge: string | undefined };
  /** Loopback and private addresses that URLs of modules may lead to; `fetch.allowedAddresses`. */
  readonly allowedAddresses: readonly string[];
  /** How the cluster connects machines. */
  readonly network: NetworkKind;
  /** Private networks that guests with internet may reach. */
  readonly guestNetworks: readonly string[];
  /** Where others reach the farm; only this machine does by default. */
  readonly listen?: ListenAddress;
  /** File to which the cluster appends every request that it answers. */
  readonly auditLog?: string;
  readonly settings: Settings;
}

/** Name under which the farm's one image runs as a local command on the embedded cluster. */
export const RELAY_IMAGE = 'slipway:local';

/** Where a farm on one machine keeps what; everything lies in its data folder, readable by its owner only. */
export class FarmFiles {
  readonly dataDir: string;

  constructor(dataDir: string) {
    this.dataDir = dataDir;
    mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 });
    mkdirSync(join(dataDir, 'redis'), { recursive: true, mode: 0o700 });
  }

  get clusterDir(): string {
    return join(this.dataDir, 'cluster');
  }

  get kubeconfig(): string {
    return join(this.clusterDir, 'kubeconfig');
  }

  get config(): string {
    return join(this.dataDir, 'farm.yaml');
  }

  get clusterConfig(): string {
    return join(this.dataDir, 'cluster.json');
  }

  get redisConfig(): string {
    return join(this.dataDir, 'redis.conf');
  }

  get connection(): string {
    return join(this.dataDir, 'connection.json');
  }

  log(role: string): string {
    return join(this.dataDir, 'logs', `${role}.log`);
  }

  /** A secret of the farm: made once, then kept. */
  secret(name: string): string {
    const file = join(this.dataDir, name);
    if (!existsSync(file)) writePrivate(file, randomBytes(32).toString('base64url'));
    return readFileSync(file, 'utf8');
  }

  secretFile(name: string): string {
    this.secret(name);
    return join(this.dataDir, name);
  }

  /**
   * Redis with an append-only file and no eviction, at a socket in the data folder that only the owner may open: no
   * other program can have it, as it can have a port. Returns its URL.
   */
  writeRedisConfig(): string {
    const socket = join(this.dataDir, 'redis.sock');
    const lines = [
      'port 0',
      `unixsocket "${socket}"`,
      'unixsocketperm 600',
      `dir "${join(this.dataDir, 'redis')}"`,
      'appendonly yes',
      'appendfsync everysec',
      'save ""',
      'maxmemory-policy noeviction',
    ];
    writePrivate(this.redisConfig, `${lines.join('\n')}\n`);
    return socket;
  }

  /** The port that the farm had the last time; 0 for none. */
  get lastPort(): number {
    return existsSync(this.#portFile) ? Number(readFileSync(this.#portFile, 'utf8')) || 0 : 0;
  }

  keepPort(port: number): void {
    writePrivate(this.#portFile, `${port}\n`);
  }

  get #portFile(): string {
    return join(this.dataDir, 'port');
  }

  /**
   * The command of the relay's image in the embedded cluster, and the addresses that its importers and guests may reach. The
   * former it reads again for every import.
   */
  writeClusterConfig(
    relayCommand: readonly string[],
    { allowedAddresses, guestNetworks, network }: Pick<FarmOptions, 'allowedAddresses' | 'guestNetworks' | 'network'>,
  ): void {
    const config = {
      namespaces: ['slipway'],
      network,
      podCommands: { [RELAY_IMAGE]: relayCommand },
      fetch: { allowedAddresses },
      guests: { allowedNetworks: guestNetworks },
    };
    writePrivate(this.clusterConfig, JSON.stringify(config, null, 2));
  }

  /** @throws InvalidRequest for a setting that the other options decide */
  writeFarmConfig(options: FarmOptions, redisUrl: string, port: number): void {
    const { vms, imports, cpu, memoryBytes } = options.limits;
    const config = {
      // The cluster is this farm's alone: what Redis loses it takes over.
      farm: { name: 'local', id: 'local', keyFile: this.secretFile('farm-key') },
      redis: { url: redisUrl },
      http: {
        ...{ host: '127.0.0.1', port, tokenFile: this.secretFile('token') },
        ...(options.listen ? { tls: options.listen } : {}),
      },
      clusters: [
        {
          name: 'local',
          kubeconfig: this.kubeconfig,
          relayImage: RELAY_IMAGE,
          ...(options.network === 'kube-ovn' ? { externalSubnet: 'external', bareBinding: 'managedtap' } : {}),
          limits: { vms, imports, cpu, memory: String(memoryBytes) },
        },
      ],
      metrics: { tokenFile: this.secretFile('metrics-token') },
      retention: { failure: options.failureRetention, images: options.imageRetention },
      blobs: { directory: join(this.dataDir, 'blobs'), url: 'own' },
      fetch: { allowedAddresses: options.allowedAddresses },
    };
    applySettings(config, options.settings);
    writePrivate(this.config, stringify(config));
  }

  writeConnection(connection: Connection): void {
    writePrivate(this.connection, `${JSON.stringify(connection, null, 2)}\n`);
  }

  removeConnection(): void {
    rmSync(this.connection, { force: true });
  }
}

/** Makes the CLI of this user talk to the farm in `dataDir` from now on. */
export function writePointer(file: string, pointer: Pointer): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writePrivate(file, JSON.stringify(pointer));
}
