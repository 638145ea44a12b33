import { loadConfig } from '../../common/config/load-config.ts';
import { programCommand, streamingCommand } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { type ChildSpec, readReadyEvent } from './child-process.ts';
import { FarmFiles, type FarmOptions } from './farm-files.ts';
import { searchPath } from './machine-checks.ts';
import { Supervisor } from './supervisor.ts';

/**
 * A whole farm on this machine: Redis, the embedded cluster, one scheduler and workers as child processes. The order of
 * starting is the order of needing; everything binds loopback.
 */
export class LocalFarm {
  readonly #files: FarmFiles;
  readonly #options: FarmOptions;
  readonly #supervisor: Supervisor;
  #connection: Connection | undefined;

  constructor(options: FarmOptions, logger: Logger) {
    this.#options = options;
    this.#files = new FarmFiles(options.dataDir);
    this.#supervisor = new Supervisor(logger, () => this.#publish());
  }

  /**
   * Starts everything and writes `connection.json`.
   * @throws FarmNotStarted naming the process that did not come up; InvalidConfig, InvalidRequest naming a wrong setting
   */
  async start(): Promise<Connection> {
    const redisUrl = this.#files.writeRedisConfig();
    const requested = this.#options.port || this.#files.lastPort;
    this.#files.writeFarmConfig(this.#options, redisUrl, requested);
    // A setting that is refused is refused before anything runs.
    loadConfig({ SLIPWAY_CONFIG: this.#files.config });
    this.#writeClusterConfig([]);
    await Promise.all([
      this.#supervisor.start(
        this.#spec('redis', ['redis-server', this.#files.redisConfig], (line) =>
          /ready to accept connections/i.test(line) ? {} : undefined,
        ),
      ),
      this.#supervisor.start(
        this.#spec('embedded', [
          ...streamingCommand('embedded/main'),
          '--data-dir',
          this.#files.clusterDir,
          '--config',
          this.#files.clusterConfig,
          ...(this.#options.auditLog === undefined ? [] : ['--audit-log', this.#options.auditLog]),
        ]),
      ),
    ]);
    const [url] = await Promise.all([
      this.#startScheduler(redisUrl, requested),
      ...this.#workers().map((spec) => this.#supervisor.start(spec)),
    ]);
    const token = this.#files.secret('token');
    this.#connection = { url, token, kubeconfig: this.#files.kubeconfig, redisUrl, pids: {} };
    this.#publish();
    return this.#connection;
  }

  /** A port is known to be free when it is bound. Where the one used before is not, any other one will do. */
  async #startScheduler(redisUrl: string, requested: number): Promise<string> {
    const spec = this.#spec('scheduler', streamingCommand('scheduler/main'));
    const ready = await this.#supervisor.start(spec).catch((error: unknown) => {
      const isTaken = error instanceof FarmError && error.details['code'] === 'EADDRINUSE';
      if (!isTaken || requested === 0) throw error;
      if (this.#options.port !== 0) {
        const message = `Port ${requested} of 127.0.0.1 is in use by another program. Name another one with --port.`;
        throw new FarmError('InvalidRequest', message, { cause: error });
      }
      this.#files.writeFarmConfig(this.#options, redisUrl, 0);
      return this.#supervisor.start(spec);
    });
    const url = ready['url'];
    assert(typeof url === 'string', 'The ready line of the scheduler carries its url.');
    const port = Number(new URL(url).port);
    this.#files.keepPort(port);
    // A scheduler that is started again listens where clients know it, and importers read local files there.
    this.#files.writeFarmConfig(this.#options, redisUrl, port);
    this.#writeClusterConfig([`127.0.0.1:${port}`]);
    return url;
  }

  #writeClusterConfig(ownAddresses: readonly string[]): void {
    const { guestNetworks, network } = this.#options;
    const allowedAddresses = [...this.#options.allowedAddresses, ...ownAddresses];
    this.#files.writeClusterConfig(programCommand('workers/relay/main'), { allowedAddresses, guestNetworks, network });
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
    this.#files.removeConnection();
  }

  #workers(): ChildSpec[] {
    return PHASES.flatMap((phase) =>
      Array.from({ length: this.#options.workers[phase] ?? 1 }, (_, index) =>
        this.#spec(`${phase}-${index + 1}`, [...programCommand('workers/main'), '--phase', phase]),
      ),
    );
  }

  #spec(name: string, command: readonly string[], readReady: ChildSpec['readReady'] = readReadyEvent): ChildSpec {
    const [file, ...args] = command;
    assert(file, 'A command has at least a program.');
    return {
      name,
      command: [file, ...args],
      environment: childEnvironment(this.#files.config),
      logFile: this.#files.log(name),
      readReady,
    };
  }

  #publish(): void {
    if (!this.#connection) return;
    this.#connection = { ...this.#connection, pids: { up: [process.pid], ...this.#supervisor.pids() } };
    this.#files.writeConnection(this.#connection);
  }
}

/** The user's environment without options of the farm: those of a farm on one machine are in its own file. */
function childEnvironment(config: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  return { ...Object.fromEntries(kept), PATH: searchPath(), SLIPWAY_CONFIG: config };
}
