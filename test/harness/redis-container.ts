import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { ContainerRuntimeClient } from 'testcontainers';
import { LABEL, removeContainersAtTheEnd } from './container-guard.ts';

const NAMED = process.env['SLIPWAY_TEST_REDIS_IMAGE'];
const IMAGE = NAMED ?? 'redis:7';
const PORT = 6379;
const COMMAND = ['redis-server', '--save', '', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'];

/** A Redis of one's own. It ends with the process that started it, however that ends. */
export interface RedisServer {
  readonly url: string;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
  /** Stops it (by SIGKILL on demand) and starts it again on the same port and append-only file. */
  restart(options?: { readonly kill?: boolean }): Promise<void>;
  /** Stops its process by SIGSTOP: connections stay open, and it does not answer until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/**
 * How Redis is started in a container on a port of this host. Undefined where no Docker engine answers or the engine does
 * not hold `redis:7`: tests never pull images unasked. @throws when `SLIPWAY_TEST_REDIS_IMAGE` names what is not there
 */
export async function findRedisContainers(): Promise<((hostPort: number) => Promise<RedisServer>) | undefined> {
  const engine = await findEngine();
  const { ImageName } = await import('testcontainers');
  if (engine && (await engine.image.exists(ImageName.fromString(IMAGE)))) {
    return (hostPort) => startRedisContainer(engine, hostPort);
  }
  if (NAMED === undefined) return undefined;
  throw new Error(
    `SLIPWAY_TEST_REDIS_IMAGE: ${engine ? `the Docker engine has no ${IMAGE}` : 'no Docker engine answers'}`,
  );
}

async function findEngine(): Promise<ContainerRuntimeClient | undefined> {
  if (!process.env['DOCKER_HOST'] && !existsSync('/var/run/docker.sock')) return undefined;
  const { getContainerRuntimeClient } = await import('testcontainers');
  return getContainerRuntimeClient().catch(() => undefined);
}

async function startRedisContainer(engine: ContainerRuntimeClient, hostPort: number): Promise<RedisServer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  // Its port is published to every client that reaches this host.
  const password = randomUUID();
  const started = await new GenericContainer(IMAGE)
    .withLabels({ [LABEL]: removeContainersAtTheEnd() })
    .withCommand([...COMMAND, '--requirepass', password])
    .withExposedPorts({ container: PORT, host: hostPort })
    .withWaitStrategy(Wait.forLogMessage('Ready to accept connections'))
    .start();
  const container = engine.container.getById(started.getId());
  return {
    url: `redis://:${password}@${started.getHost()}:${hostPort}`,
    stop: async () => {
      await started.stop();
    },
    restart: async ({ kill = false } = {}) => {
      if (kill) await container.kill();
      await started.restart({ timeout: 10_000 });
    },
    // Not `pause`: commands to a frozen container wait until it continues, its end included.
    pause: () => container.kill({ signal: 'SIGSTOP' }),
    resume: () => container.kill({ signal: 'SIGCONT' }),
  };
}
