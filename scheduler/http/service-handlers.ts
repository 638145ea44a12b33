import { readFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import { packagePath } from '../../common/config/package-root.ts';
import { readRedis } from '../../common/redis/scripts.ts';
import type { Handlers } from './handler.ts';
import { type MetricsOptions, sendMetrics } from './metrics-routes.ts';
import { openApi } from './openapi.ts';
import { referencePage } from './reference-page.ts';

/** Dependencies of the handlers. */
export interface ServiceHandlersOptions extends Pick<MetricsOptions, 'metrics' | 'measure'> {
  readonly redis: Redis;
  /** False while the process starts or stops. */
  isReady(): boolean;
}

/** Operations about the farm itself. */
export function serviceHandlers(options: ServiceHandlersOptions) {
  const { redis, isReady } = options;
  return {
    async readMetrics({ response }) {
      await sendMetrics(options, response);
    },

    async readModuleSchema({ response }) {
      response.type('application/schema+json').send(await readFile(packagePath('docs', 'module.schema.json')));
    },

    readDescription() {
      return { status: 200, body: openApi() };
    },

    readReference({ response }) {
      response.type('html').send(referencePage());
    },

    isAlive({ response }) {
      response.type('text').send('ok\n');
    },

    async isReady({ response }) {
      const ready = isReady() && (await readRedis(redis.ping()).catch(() => 'no')) === 'PONG';
      response
        .status(ready ? 200 : 503)
        .type('text')
        .send(ready ? 'ready\n' : 'not ready\n');
    },
  } satisfies Partial<Handlers>;
}
