import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import type { Connection, Pointer } from '../../common/contracts/connection.ts';

/** What `slipway up` was asked for. */
export interface FarmOptions {
  readonly dataDir: string;
  /** 0 takes a free port, or the one used before. */
  readonly port: number;
  readonly limits: { readonly vms: number; readonly imports: number };
  /** Processes per phase. */
  readonly workers: Readonly<Record<string, number>>;
  /** Duration as the configuration writes it. */
  readonly failureRetention: string;
  /** File to which the cluster appends every request that it answers. */
  readonly auditLog?: string;
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
    if (!existsSync(file)) writeAtomic(file, randomBytes(32).toString('base64url'));
    return readFileSync(file, 'utf8');
  }

  secretFile(name: string): string {
    this.secret(name);
    return join(this.dataDir, name);
  }

  /** Redis with an append-only file and no eviction, on loopback and behind a password. */
  writeRedisConfig(port: number): string {
    const password = this.secret('redis-password');
    const lines = [
      'bind 127.0.0.1',
      `port ${port}`,
      `dir "${join(this.dataDir, 'redis')}"`,
      'appendonly yes',
      'appendfsync everysec',
      'save ""',
      'maxmemory-policy noeviction',
      `requirepass ${password}`,
    ];
    writeAtomic(this.redisConfig, `${lines.join('\n')}\n`);
    return `redis://:${password}@127.0.0.1:${port}`;
  }

  /** What the embedded cluster runs for the relay's image. */
  writeClusterConfig(relayCommand: readonly string[]): void {
    writeAtomic(
      this.clusterConfig,
      JSON.stringify({ namespaces: ['slipway'], podCommands: { [RELAY_IMAGE]: relayCommand } }, null, 2),
    );
  }

  writeFarmConfig(options: FarmOptions, redisUrl: string, port: number): void {
    const config = {
      farm: { name: 'local', keyFile: this.secretFile('farm-key') },
      redis: { url: redisUrl },
      http: { host: '127.0.0.1', port, tokenFile: this.secretFile('token') },
      clusters: [
        {
          name: 'local',
          kubeconfig: this.kubeconfig,
          relayImage: RELAY_IMAGE,
          externalSubnet: 'external',
          limits: options.limits,
        },
      ],
      retention: { failure: options.failureRetention },
      fetch: { allowPrivateAddresses: true },
    };
    writeAtomic(this.config, stringify(config));
  }

  writeConnection(connection: Connection): void {
    writeAtomic(this.connection, `${JSON.stringify(connection, null, 2)}\n`);
  }

  removeConnection(): void {
    rmSync(this.connection, { force: true });
  }
}

/** Makes the CLI of this user talk to the farm in `dataDir` from now on. */
export function writePointer(file: string, pointer: Pointer): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeAtomic(file, JSON.stringify(pointer));
}

function writeAtomic(file: string, content: string): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, file);
}
