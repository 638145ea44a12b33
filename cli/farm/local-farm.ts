import { once } from 'node:events';
import { createServer } from 'node:net';
import { programCommand } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { readConnection } from '../client/connection.ts';
import { type ChildSpec, readReadyEvent } from './child-process.ts';
import { FarmFiles, type FarmOptions } from './farm-files.ts';
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

  /** Starts everything and writes `connection.json`. @throws FarmUnreachable naming the process that did not come up. */
  async start(): Promise<Connection> {
    const former = readConnection(this.#options.dataDir);
    const redisPort = await portToUse(former && Number(new URL(former.redisUrl).port));
    const redisUrl = this.#files.writeRedisConfig(redisPort);
    this.#files.writeClusterConfig(programCommand('workers/relay/main'));
    await Promise.all([
      this.#supervisor.start(
        this.#spec('redis', ['redis-server', this.#files.redisConfig], (line) =>
          line.includes('Ready to accept connections') ? {} : undefined,
        ),
      ),
      this.#supervisor.start(
        this.#spec('embedded', [
          ...programCommand('embedded/main'),
          '--data-dir',
          this.#files.clusterDir,
          '--config',
          this.#files.clusterConfig,
          ...(this.#options.auditLog === undefined ? [] : ['--audit-log', this.#options.auditLog]),
        ]),
      ),
    ]);
    const port = await portToUse(this.#options.port || (former && Number(new URL(former.url).port)));
    this.#files.writeFarmConfig(this.#options, redisUrl, port);
    const [scheduler] = await Promise.all([
      this.#supervisor.start(this.#spec('scheduler', programCommand('scheduler/main'))),
      ...this.#workers().map((spec) => this.#supervisor.start(spec)),
    ]);
    const url = scheduler['url'];
    assert(typeof url === 'string', 'The ready line of the scheduler carries its url.');
    const token = this.#files.secret('token');
    this.#connection = { url, token, kubeconfig: this.#files.kubeconfig, redisUrl, pids: {} };
    this.#publish();
    return this.#connection;
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

/** The user's environment without options of the farm: those of a farm on one machine stand in its own file. */
function childEnvironment(config: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  return { ...Object.fromEntries(kept), SLIPWAY_CONFIG: config };
}

/** The wanted port of loopback, else a free one. */
async function portToUse(wanted: number | undefined): Promise<number> {
  for (const port of [wanted || 0, 0]) {
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      assert(address && typeof address === 'object', 'A listening TCP server has an address.');
      return address.port;
    } catch {
      // Somebody else has the port: take any.
    } finally {
      server.close();
    }
  }
  return 0;
}
