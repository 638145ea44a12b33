import { z } from 'zod';
import { DEFAULT_LOG_LIMITS } from '../contracts/log-limits.ts';
import { LEVELS } from '../logging/logger.ts';
import { allowedAddress } from './allowed-address.ts';
import { clusterOptions } from './cluster-options.ts';
import { httpOptions } from './http-options.ts';
import { ownerOptions } from './owner-options.ts';
import { redisOptions } from './redis-options.ts';
import { retentionOptions } from './retention-options.ts';
import { bytesOption, durationOption, port } from './units.ts';

const mebibytes = (size: number) => `${size / 1024 ** 2}Mi`;

/**
 * Every option of the farm, in one place. A leaf is set in the YAML file named by `SLIPWAY_CONFIG`, or by the variable
 * `SLIPWAY_<PATH>` in upper snake case, which wins; a list is given there as YAML.
 */
export const configSchema = z.strictObject({
  farm: z
    .strictObject({
      name: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$/)
        .default('farm')
        .describe(
          'Name of the farm: a DNS label of at most 52 characters. Its objects are labelled with it and a random part.',
        ),
      id: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
        .optional()
        .describe(
          'The whole label, random and kept in Redis when it is not set. Set it to the former one when Redis was lost: the farm then takes over its layers.',
        ),
      keyFile: z.string().optional().describe('File with the key that seals secrets and salts layer keys.'),
    })
    .prefault({})
    .describe('Identity.'),
  redis: redisOptions,
  http: httpOptions,
  log: z
    .strictObject({ level: z.enum(LEVELS).default('info').describe('The least important log line that is written.') })
    .prefault({})
    .describe('Logging: JSON lines on standard output.'),
  metrics: z
    .strictObject({
      port: port.default(0).describe('Port of `/metrics` of a worker; 0 takes a free one.'),
      tokenFile: z
        .string()
        .optional()
        .describe(
          'File with the bearer token that opens `/metrics` of workers and schedulers, and nothing else. Without it workers serve no metrics; schedulers serve them to viewers as well.',
        ),
    })
    .prefault({})
    .describe('Prometheus metrics.'),
  owners: z
    .array(ownerOptions)
    .default([])
    .describe(
      'Weights and quotas of owners. The owner of a build is the token that submitted it, or the one that an admin named with `--as`. Owners without a row weigh 1 and have no quotas.',
    ),
  clusters: z
    .array(clusterOptions)
    .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, {
      error: 'two clusters have one name',
    })
    .default([])
    .describe(
      'The clusters that the farm may build on; at least one. Processes follow changes of this list in the file without a restart.',
    ),
  worker: z
    .strictObject({
      concurrency: z.coerce.number().int().min(1).default(4).describe('Phase jobs that a worker runs at once.'),
    })
    .prefault({})
    .describe('Workers.'),
  retention: retentionOptions,
  logs: z
    .strictObject({
      step: bytesOption
        .prefault(mebibytes(DEFAULT_LOG_LIMITS.step))
        .describe('The most output that is kept of one step; the rest is left out, and the log notes it.'),
      perSecond: bytesOption
        .prefault(mebibytes(DEFAULT_LOG_LIMITS.perSecond))
        .describe('The most output that is read of one step in a second, on average; the rest waits in the guest.'),
      layer: bytesOption
        .prefault(mebibytes(DEFAULT_LOG_LIMITS.layer))
        .describe('The most that is kept of the log of one layer build; its beginning is removed first.'),
      total: bytesOption
        .prefault(mebibytes(DEFAULT_LOG_LIMITS.total))
        .describe(
          'The most that is kept of all logs and serial output together, in Redis. Beyond it the logs of the builds that ended first are removed before their records, and a note takes their place.',
        ),
    })
    .prefault({})
    .describe('Output of guests.'),
  blobs: z
    .strictObject({
      directory: z
        .string()
        .optional()
        .describe(
          'Where schedulers keep the local files that are sent with builds, and what is exported; replicas share it. Without it modules cannot name local files, and no image can be exported.',
        ),
      url: z
        .string()
        .optional()
        .describe(
          'Address of the schedulers for clusters and workers, such as `http://slipway-scheduler.slipway-system.svc`: they read local files from there. `own`: the one that the scheduler listens on. Without it modules cannot name local files.',
        ),
      maxSize: bytesOption.prefault('64Gi').describe('The largest local file.'),
      totalSize: bytesOption.prefault('256Gi').describe('All local files that are kept, together.'),
      retention: durationOption
        .prefault('24h')
        .describe('How long a local file that no build needs is kept after its last use.'),
    })
    .prefault({})
    .describe('Local files of modules.'),
  fetch: z
    .strictObject({
      allowedAddresses: z
        .array(allowedAddress)
        .default([])
        .describe(
          'Loopback and private addresses that URLs of modules may lead the farm itself to: addresses, networks or host names, each with `:PORT` for one port only, such as `10.1.0.0/16` or `media.lan:8080`. Link-local and metadata addresses are never reached.',
        ),
    })
    .prefault({})
    .describe('Requests that the farm makes for files of modules.'),
});

export type Config = z.output<typeof configSchema>;
export type ClusterConfig = Config['clusters'][number];
