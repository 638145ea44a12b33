import { existsSync } from 'node:fs';

const IMAGE = process.env['SLIPWAY_TEST_REDIS_IMAGE'] ?? 'redis:7';
const PORT = 6379;
const COMMAND = ['redis-server', '--save', '', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'];

/** A Redis of one's own. */
export interface RedisServer {
  readonly url: string;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
  /** Stops it (by SIGKILL on demand) and starts it again on the same port and append-only file. */
  restart(options?: { readonly kill?: boolean }): Promise<void>;
}

/**
 * Starts Redis in a container on a port of this host. Undefined where no Docker engine answers or the engine does not
 * hold the image (`SLIPWAY_TEST_REDIS_IMAGE`, else `redis:7`): tests never pull behind anybody's back.
 */
export async function startRedisContainer(hostPort: number): Promise<RedisServer | undefined> {
  if (!process.env['DOCKER_HOST'] && !existsSync('/var/run/docker.sock')) return undefined;
  const { GenericContainer, getContainerRuntimeClient, ImageName, Wait } = await import('testcontainers');
  const engine = await getContainerRuntimeClient().catch(() => undefined);
  if (!engine || !(await engine.image.exists(ImageName.fromString(IMAGE)))) return undefined;
  const container = await new GenericContainer(IMAGE)
    .withCommand(COMMAND)
    .withExposedPorts({ container: PORT, host: hostPort })
    .withWaitStrategy(Wait.forLogMessage('Ready to accept connections'))
    .start();
  return {
    url: `redis://${container.getHost()}:${hostPort}`,
    stop: async () => {
      await container.stop();
    },
    // Docker kills what has not ended when the timeout is over: at once, when it is zero.
    restart: ({ kill = false } = {}) => container.restart({ timeout: kill ? 0 : 10_000 }),
  };
}
