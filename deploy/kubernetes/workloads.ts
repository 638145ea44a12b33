import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import type { Role } from '../../common/contracts/roles.ts';
import {
  asYaml,
  CONTAINER_SECURITY,
  digestOf,
  type Insert,
  type Manifest,
  metadataOf,
  onlyWhen,
  orElse,
  type Part,
  POD_SECURITY,
  selectorLabels,
  text,
} from './parts.ts';
import { bundledUrl } from './redis.ts';
import type { Scope, Slot, Slots } from './values.ts';

/** Port of the HTTP API and of every worker's metrics: the image's. */
export const HTTP_PORT = 8080;
/** Where the scheduler's volume for local files is: the image's. */
const BLOBS = '/var/lib/slipway-blobs';
/** A worker may take 20 s to hand its work back. */
const STOP_SECONDS = 40;

/** The key of a phase in the values. */
export function valuesKey(phase: Phase): keyof Slots['workers'] {
  return phase === 'boot-keystrokes' ? 'bootKeystrokes' : phase;
}

/** Scheduler with its Service, and one Deployment per phase, each with a budget for voluntary disruptions. */
export function workloads(scope: Scope): Part[] {
  return [
    { file: 'config', objects: [configMap(scope)] },
    {
      file: 'scheduler',
      objects: [blobClaim(scope), scheduler(scope), schedulerService(scope), budget(scope, 'scheduler')],
    },
    ...PHASES.map((phase) => ({ file: phase, objects: [worker(scope, phase), budget(scope, phase)] })),
  ];
}

function configMap(scope: Scope): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadataOf(scope, 'config'),
    data: { 'farm.yaml': asYaml(scope.values.config) },
  };
}

function scheduler(scope: Scope): Manifest {
  const { replicas, resources } = scope.values.scheduler;
  return deployment(scope, {
    role: 'scheduler',
    replicas,
    resources,
    command: ['node', 'dist/scheduler/main.js'],
    // Not ready while Redis is away: then nothing can be accepted.
    readinessPath: '/readyz',
    environment: [{ name: 'SLIPWAY_BLOBS_DIRECTORY', value: BLOBS }],
    mounts: [{ name: 'blobs', mountPath: BLOBS }],
    volumes: [{ name: 'blobs', persistentVolumeClaim: { claimName: blobClaim(scope).metadata.name } }],
    // Two nodes cannot hold such a volume at a time, and the next pod may well be on another.
    strategy: { type: onlyWhen({ path: 'blobs.accessMode', is: 'ReadWriteOnce' }, 'Recreate') },
  });
}

/** Local files that are sent with builds: all schedulers share them. */
function blobClaim(scope: Scope): Manifest {
  const { accessMode, storage } = scope.values.blobs;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: metadataOf(scope, 'blobs'),
    spec: { accessModes: [accessMode], resources: { requests: { storage } } },
  };
}

function worker(scope: Scope, phase: Phase): Manifest {
  const { replicas, resources, concurrency } = scope.values.workers[valuesKey(phase)];
  return deployment(scope, {
    role: phase,
    // An autoscaler owns the number where there is one.
    replicas: onlyWhen({ path: 'autoscaling.by', is: 'none' }, replicas),
    resources,
    command: ['node', 'dist/workers/main.js', '--phase', phase],
    readinessPath: '/healthz',
    environment: [{ name: 'SLIPWAY_WORKER_CONCURRENCY', value: text`${concurrency}` }],
    mounts: [],
    volumes: [],
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 1 } },
  });
}

interface Workload {
  readonly role: Role;
  readonly replicas: Slot | Insert;
  readonly resources: Slot;
  readonly command: readonly string[];
  readonly readinessPath: string;
  readonly environment: readonly object[];
  readonly mounts: readonly object[];
  readonly volumes: readonly object[];
  readonly strategy: object;
}

function deployment(
  scope: Scope,
  { role, replicas, resources, command, readinessPath, environment, mounts, volumes, strategy }: Workload,
): Manifest {
  const { values } = scope;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(scope, role),
    spec: {
      replicas,
      selector: { matchLabels: selectorLabels(scope, role) },
      strategy,
      template: {
        metadata: {
          labels: selectorLabels(scope, role),
          // Pods read the configuration once, at their start.
          annotations: { 'slipway.dev/config': digestOf(values.config) },
        },
        spec: {
          serviceAccountName: `${scope.name}-${role}`,
          imagePullSecrets: values.imagePullSecrets,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: STOP_SECONDS,
          securityContext: POD_SECURITY,
          containers: [
            {
              name: role,
              image: text`${values.image.repository}:${values.image.tag}`,
              imagePullPolicy: values.image.pullPolicy,
              args: command,
              env: [...commonEnvironment(scope), ...environment],
              ports: [{ name: 'http', containerPort: HTTP_PORT }],
              startupProbe: { ...probe('/healthz'), periodSeconds: 2, failureThreshold: 30 },
              livenessProbe: { ...probe('/healthz'), periodSeconds: 20 },
              readinessProbe: { ...probe(readinessPath), periodSeconds: 5 },
              securityContext: CONTAINER_SECURITY,
              resources,
              volumeMounts: [
                { name: 'config', mountPath: '/etc/slipway/farm.yaml', subPath: 'farm.yaml', readOnly: true },
                { name: 'secrets', mountPath: '/run/secrets/slipway', readOnly: true },
                { name: 'kubeconfigs', mountPath: '/etc/slipway/kubeconfigs', readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
                ...mounts,
              ],
            },
          ],
          volumes: [
            { name: 'config', configMap: { name: `${scope.name}-config` } },
            { name: 'secrets', secret: { secretName: values.secretName, defaultMode: 0o440 } },
            {
              name: 'kubeconfigs',
              secret: { secretName: values.kubeconfigSecretName, optional: true, defaultMode: 0o440 },
            },
            // Files of modules pass through it.
            { name: 'tmp', emptyDir: { sizeLimit: '8Gi' } },
            ...volumes,
          ],
          affinity: spreadOver(scope, role),
          nodeSelector: values.nodeSelector,
          tolerations: values.tolerations,
        },
      },
    },
  };
}

function commonEnvironment(scope: Scope): object[] {
  const { blobs, redis } = scope.values;
  return [
    { name: 'SLIPWAY_CONFIG', value: '/etc/slipway/farm.yaml' },
    { name: 'SLIPWAY_FARM_KEY_FILE', value: '/run/secrets/slipway/farm-key' },
    { name: 'SLIPWAY_HTTP_TOKEN_FILE', value: '/run/secrets/slipway/token' },
    { name: 'SLIPWAY_REDIS_URL', value: orElse(redis.url, bundledUrl(scope)) },
    { name: 'SLIPWAY_REDIS_PASSWORD_FILE', value: '/run/secrets/slipway/redis-password' },
    {
      name: 'SLIPWAY_BLOBS_URL',
      value: orElse(blobs.url, `http://${scope.name}-scheduler.${scope.namespace}.svc`),
    },
  ];
}

function probe(path: string) {
  return { httpGet: { path, port: 'http' }, timeoutSeconds: 5 };
}

/** One node's end should not take all processes of a kind. */
function spreadOver(scope: Scope, role: Role): object {
  const labelSelector = { matchLabels: selectorLabels(scope, role) };
  const podAffinityTerm = { labelSelector, topologyKey: 'kubernetes.io/hostname' };
  return { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }] } };
}

function schedulerService(scope: Scope): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(scope, 'scheduler'),
    spec: {
      selector: selectorLabels(scope, 'scheduler'),
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    },
  };
}

function budget(scope: Scope, role: Role): Manifest {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadataOf(scope, role),
    spec: { maxUnavailable: 1, selector: { matchLabels: selectorLabels(scope, role) } },
  };
}
