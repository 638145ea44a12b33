import { z } from 'zod';
import { labelsSchema } from '../contracts/cluster-control.ts';
import { DEFAULT_LOG_LIMITS } from '../contracts/log-limits.ts';
import { NETWORK_KINDS } from '../contracts/network-kinds.ts';
import { EVERYBODY } from '../contracts/owners.ts';
import { tokenNameSchema } from '../contracts/tokens.ts';
import { LEVELS } from '../logging/logger.ts';
import { allowedAddress } from './allowed-address.ts';
import { ageOption, bytesOption, durationOption } from './units.ts';

/** The default, which no registry serves. */
export const DEFAULT_RELAY_IMAGE = 'slipway:latest';

const limits = z.strictObject({
  imports: z.int().min(1).default(4).describe('Imports that may run at once; they hold no VM slot.'),
  vms: z.int().min(1).default(8).describe('Virtual machines that may exist at once.'),
  cpu: z.number().positive().default(16).describe('Cores that these machines may have together.'),
  memory: bytesOption.prefault('32Gi').describe('Memory that these machines may have together.'),
});

const owner = z.strictObject({
  name: z
    .union([tokenNameSchema, z.literal(EVERYBODY)])
    .describe('Name of a token; `*` stands for all that have no row of their own.'),
  weight: z
    .number()
    .positive()
    .default(1)
    .describe('Share of each cluster, against the weights of the other owners that wait for it.'),
  vms: z.int().min(1).optional().describe('Virtual machines that its builds may have on a cluster at once.'),
  cpu: z.number().positive().optional().describe('Cores that these machines may have together.'),
  memory: bytesOption.optional().describe('Memory that these machines may have together.'),
  layers: z
    .int()
    .min(1)
    .optional()
    .describe('Layers of its builds that may wait or be built at once; beyond it, its submissions are refused.'),
});
const mebibytes = (size: number) => `${size / 1024 ** 2}Mi`;

const count = z.coerce.number().int().min(1);

const serverAddress = z.string().regex(/^[^\s:/]+:\d{1,5}$|^\[[\da-f:.]+\]:\d{1,5}$/i);

const httpLimits = z.strictObject({
  body: bytesOption.prefault('16Mi').describe('The largest body of a request.'),
  requestsPerMinute: count.default(6_000).describe('Requests that one token may send to one scheduler in a minute.'),
  refusalsPerMinute: count
    .default(120)
    .describe(
      'Requests without a valid token that one address may send in a minute before they are answered with 429.',
    ),
  streams: count
    .default(500)
    .describe(
      'Event streams, waiting requests and consoles that one scheduler serves at once. Viewers take at most 80 % of them and builders 90 %.',
    ),
  streamsPerToken: count.default(250).describe('As `streams`, of one token.'),
  layers: count
    .default(50_000)
    .describe('Layers that may wait or be built at once; beyond it, submissions are refused.'),
});

const cluster = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/)
    .describe('Name of the cluster in queues, slots and metrics; a DNS label.'),
  kubeconfig: z.string().optional().describe('Path of its kubeconfig; without it the service account of the pod.'),
  context: z.string().optional().describe('Context of the kubeconfig; its current one by default.'),
  namespace: z.string().default('slipway').describe('The farm namespace: everything namespaced is made in it.'),
  storageClass: z.string().optional().describe('Storage class of volumes; the default class of the cluster otherwise.'),
  snapshotClass: z.string().optional().describe('Class of volume snapshots; the default of the driver otherwise.'),
  network: z
    .enum(NETWORK_KINDS)
    .optional()
    .describe(
      'How machines are connected: `kube-ovn`, by networks of their own; `pod`, on the pod network of the cluster. By default `kube-ovn` where KubeOVN is installed, else `pod`.',
    ),
  externalSubnet: z
    .string()
    .optional()
    .describe('KubeOVN subnet that egress gateways use; needed for `internet` with KubeOVN.'),
  deniedNetworks: z
    .array(z.cidrv4())
    .default([])
    .describe(
      'IPv4 networks that modules with `internet` must not reach: those of the nodes, pods and Services. With KubeOVN they become policy routes of each VPC; on a pod network private ones are closed anyway.',
    ),
  cpuAllocationRatio: z
    .number()
    .min(1)
    .optional()
    .describe(
      'Virtual processors per core that machines ask of the nodes; by default the cluster’s own ratio decides (10 with KubeVirt, unless it is configured).',
    ),
  bareBinding: z
    .string()
    .min(1)
    .optional()
    .describe(
      'With KubeOVN: the network binding of KubeVirt for cards on `unmanaged` subnets, one with `domainAttachmentType: managedTap`. Without it KubeVirt answers DHCP there, before the guest of the module that should.',
    ),
  relayImage: z.string().default(DEFAULT_RELAY_IMAGE).describe('Container image of the relay pod.'),
  blobsUrl: z.string().optional().describe('As `blobs.url`, where this cluster reaches the schedulers by another one.'),
  limits: limits.prefault({}).describe('What the farm may use of the cluster.'),
  labels: labelsSchema
    .default({})
    .describe('Labels that modules may ask for by `placement.clusterLabels`; `slipway cluster label` changes them.'),
  leastFreeStorage: bytesOption
    .prefault('2Gi')
    .describe(
      'Free storage for volumes that the cluster must have to take builds (else `StorageFull`), as the driver of the storage class reports it in CSIStorageCapacity; without such a report the limit does not apply.',
    ),
});

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
  redis: z
    .strictObject({
      url: z
        .string()
        .default('redis://127.0.0.1:6379')
        .describe(
          'Redis 6.2 or newer with `maxmemory-policy noeviction`; `rediss://` for TLS, with user and password of an ACL.',
        ),
      sentinels: z
        .array(serverAddress)
        .default([])
        .describe(
          'Sentinels as `HOST:PORT`, which locate the primary. User, password, database and TLS come from `redis.url`; its host and port are not used.',
        ),
      sentinelName: z
        .string()
        .default('mymaster')
        .describe('Name of the primary in the configuration of the Sentinels.'),
      cluster: z
        .array(serverAddress)
        .default([])
        .describe(
          'Nodes of a Redis Cluster as `HOST:PORT`, which locate the primary with the keys of the farm: all of them are in one hash slot. User, password and TLS come from `redis.url`; its host, port and database are not used. Name several nodes, because some of them may be down.',
        ),
      appendOnly: z
        .enum(['required', 'optional'])
        .default('required')
        .describe(
          'Whether a server without an append-only file is refused: it loses accepted builds when it restarts.',
        ),
    })
    .refine(({ sentinels, cluster }) => sentinels.length === 0 || cluster.length === 0, {
      path: ['cluster'],
      error: 'Sentinels lead to a single server and its replicas: set redis.sentinels or redis.cluster, not both',
    })
    .refine(({ url, cluster }) => cluster.length === 0 || !/\/[1-9]\d*$/.test(url), {
      path: ['url'],
      error: 'A Redis Cluster has only the database 0: remove the path of redis.url',
    })
    .prefault({})
    .describe('State and queues.'),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1').describe('Address that the scheduler listens on.'),
      advertisedHost: z
        .string()
        .optional()
        .describe(
          'Address under which other processes of the farm reach this one, to show consoles; by default `http.host`, or the first address of the machine where that is for all.',
        ),
      port: z.coerce
        .number()
        .int()
        .min(0)
        .max(65535)
        .default(8080)
        .describe('Port of the HTTP API; 0 takes a free one.'),
      plaintext: z
        .enum(['loopback', 'anywhere'])
        .default('loopback')
        .describe(
          'Which addresses `http.host` may have, as it serves without TLS; `anywhere` is for container networks where a proxy terminates TLS in front of it.',
        ),
      tls: z
        .strictObject({
          host: z.string().default('0.0.0.0').describe('Address that the scheduler listens on with TLS as well.'),
          port: z.coerce
            .number()
            .int()
            .min(0)
            .max(65535)
            .default(8443)
            .describe('Port of the HTTP API with TLS; 0 takes a free one.'),
          certificateFile: z
            .string()
            .optional()
            .describe(
              'PEM file of its certificate, with those between it and the authority. Without it there is no TLS.',
            ),
          keyFile: z.string().optional().describe('PEM file of the key of the certificate.'),
        })
        .prefault({})
        .describe('HTTPS, besides plain HTTP.'),
      tokenFile: z
        .string()
        .optional()
        .describe('File with the bearer token of an admin: the first one, which makes others.'),
      sessions: durationOption.prefault('12h').describe('How long a browser stays signed in.'),
      trustProxy: z
        .array(z.string())
        .default([])
        .describe(
          'Addresses and networks of the proxies in front of the scheduler, such as `10.0.0.0/8`, or `loopback`. Their forwarding headers are trusted: the address of the client, by which refusals are counted, and its use of TLS, so that session cookies are sent only with TLS.',
        ),
      limits: httpLimits.prefault({}).describe('Limits of the HTTP API.'),
    })
    .prefault({})
    .describe('The HTTP API.'),
  log: z
    .strictObject({ level: z.enum(LEVELS).default('info').describe('The least important log line that is written.') })
    .prefault({})
    .describe('Logging: JSON lines on standard output.'),
  metrics: z
    .strictObject({
      port: z.coerce
        .number()
        .int()
        .min(0)
        .max(65535)
        .default(0)
        .describe('Port of `/metrics` of a worker; 0 takes a free one.'),
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
    .array(owner)
    .default([])
    .describe(
      'Weights and quotas of owners. The owner of a build is the token that submitted it, or the one that an admin named with `--as`. Owners without a row weigh 1 and have no quotas.',
    ),
  clusters: z
    .array(cluster)
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
  retention: z
    .strictObject({
      failure: durationOption
        .prefault('30m')
        .describe('How long disks of a failed module are kept; 0 removes them at once.'),
      builds: durationOption.prefault('168h').describe('How long records and logs of finished builds are kept.'),
      exports: durationOption.prefault('1h').describe('How long the file of an export is kept after its last use.'),
      images: z
        .strictObject({
          keep: count
            .optional()
            .describe('This many of the newest versions of each module are kept at any age; 1 by default.'),
          maxAge: ageOption
            .optional()
            .describe('How long other versions are kept, such as `30d`; where only `keep` is set, not at all.'),
          untagged: ageOption
            .optional()
            .describe('The same for versions without a tag of a module that has tags; as `maxAge` by default.'),
          modules: z
            .record(
              z.string(),
              z.strictObject({ keep: count.optional(), maxAge: ageOption.optional(), untagged: ageOption.optional() }),
            )
            .default({})
            .describe(
              'Options for the versions of a module, by its name, instead of the options above. `{}` keeps them all.',
            ),
        })
        .prefault({})
        .describe(
          'Images that the farm removes by itself. It never removes one that has a tag, that a kept one was made from, or that a running build needs; without any of these options it removes none.',
        ),
    })
    .prefault({})
    .describe('How long disks, records, exports and images are kept.'),
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
