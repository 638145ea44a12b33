/**
 * What a deployment may set, with its defaults: `values.yaml` of the chart, and what the plain manifest is made with.
 * Keys in camel case, so that templates can name them.
 */
export const VALUES = {
  image: { repository: 'slipway', tag: '0.1.0', pullPolicy: 'IfNotPresent' },
  imagePullSecrets: slot([]),
  config: slot({
    farm: { name: 'farm' },
    clusters: [
      {
        name: 'local',
        namespace: 'slipway',
        relayImage: 'slipway:0.1.0',
        limits: { imports: 4, vms: 8, cpu: 16, memory: '32Gi' },
      },
    ],
  }),
  farmNamespace: 'slipway',
  createFarmNamespace: true,
  secretName: 'slipway-secrets',
  kubeconfigSecretName: 'slipway-kubeconfigs',
  redis: {
    url: '',
    image: 'redis:7.4-bookworm',
    storage: '8Gi',
    resources: slot({ requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '1Gi' } }),
  },
  blobs: { accessMode: 'ReadWriteOnce', storage: '64Gi', url: '' },
  scheduler: {
    replicas: 1,
    resources: slot({ requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '512Mi' } }),
  },
  workers: { import: worker(), bootKeystrokes: worker(), provision: worker(), snapshot: worker() },
  autoscaling: { by: 'none', prometheusUrl: 'http://prometheus-operated.monitoring.svc:9090' },
  monitoring: { enabled: false, namespace: 'monitoring', interval: '15s' },
  networkPolicy: { enabled: true },
  nodeSelector: slot({}),
  tolerations: slot([]),
};

function worker() {
  return {
    replicas: 2,
    concurrency: 4,
    minReplicas: 1,
    maxReplicas: 10,
    targetJobs: 3,
    resources: slot({ requests: { cpu: '100m', memory: '192Mi' }, limits: { memory: '768Mi' } }),
  };
}

/** What the values are for, by path: comments of `values.yaml`. */
export const NOTES: Readonly<Record<string, string>> = {
  image: 'The one image of scheduler and workers (Dockerfile, target `farm`).',
  config: "The farm's configuration, mounted as a file: docs/configuration.md.",
  farmNamespace: 'Namespace that the farm builds in on this very cluster. Nothing else should live in it.',
  createFarmNamespace:
    'Create that namespace, and keep it when the release is uninstalled. False where it exists already.',
  secretName: 'Secret with the keys farm-key, token and redis-password. You make it: docs/operations.md.',
  kubeconfigSecretName:
    'Secret with kubeconfigs of other clusters, mounted at /etc/slipway/kubeconfigs where it exists.',
  'redis.url': 'Your own Redis, `redis://` or `rediss://`, instead of the bundled one. Its password is in the Secret.',
  blobs:
    'The volume of the scheduler for local files of modules. `ReadWriteOnce`: one scheduler; for more, `ReadWriteMany`.\n`url`: address of the schedulers for clusters that do not reach their Service; the Service by default.',
  workers:
    'Per phase. `concurrency`: jobs that one process runs at once. `targetJobs`: jobs per process that autoscaling\naims at, below `concurrency`, so that there is room before it is needed.',
  'autoscaling.by': "`none`, `hpa` (an adapter must serve Prometheus' metrics as external ones) or `keda`.",
  monitoring: 'Objects for the Prometheus operator, and the namespace that it scrapes from.',
};

/** What fills a place of a manifest: a value, or the text that stands for it in a template. */
export type Slot = string | number | boolean | Whole;

/** A value that is put in as it is, whatever it holds. */
export interface Whole {
  readonly whole: unknown;
}

function slot(whole: unknown): Whole {
  return { whole };
}

/** The values as manifests are written with them: every leaf may be a value or its stand-in. */
export type Slots<T = typeof VALUES> = {
  readonly [K in keyof T]: T[K] extends string | number | boolean | Whole ? Slot : Slots<T[K]>;
};

/** What a manifest is written for. */
export interface Scope {
  /** Begins the name of every object. */
  readonly name: string;
  /** Where the farm's own processes run. */
  readonly namespace: string;
  readonly values: Slots;
}
