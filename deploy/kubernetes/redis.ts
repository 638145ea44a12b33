import { readFileSync } from 'node:fs';
import { CONTAINER_SECURITY, type Manifest, metadataOf, type Part, POD_SECURITY, selectorLabels } from './parts.ts';
import type { Scope } from './values.ts';

/** The user of the official image. */
const USER = 999;
const PORT = 6379;
/** The same settings as under docker-compose. */
const SETTINGS = readFileSync(new URL('../compose/redis.conf', import.meta.url), 'utf8');

const SECRET = '/run/secrets/slipway/redis-password';
/** On a command line every process of the node could read the password. */
const START = [
  `umask 077 && printf 'requirepass %s\\n' "$(cat ${SECRET})" > /tmp/password.conf`,
  'exec redis-server /usr/local/etc/farm-redis.conf',
].join(' && ');
const PING = `REDISCLI_AUTH="$(cat ${SECRET})" redis-cli ping | grep -q PONG`;

/** Where the farm's processes find it. */
export function bundledUrl(scope: Scope): string {
  return `redis://${scope.name}-redis:${PORT}`;
}

/** One Redis with an append-only file: enough for a farm that may pause while a node is replaced. */
export function bundledRedis(scope: Scope): Part[] {
  return [
    {
      file: 'redis',
      when: { path: 'redis.url', is: '' },
      objects: [settings(scope), service(scope), statefulSet(scope)],
    },
  ];
}

function settings(scope: Scope): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadataOf(scope, 'redis'),
    data: { 'farm-redis.conf': SETTINGS },
  };
}

function service(scope: Scope): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(scope, 'redis'),
    spec: {
      selector: selectorLabels(scope, 'redis'),
      ports: [{ name: 'redis', port: PORT, targetPort: 'redis' }],
    },
  };
}

function statefulSet(scope: Scope): Manifest {
  const { redis, secretName, nodeSelector, tolerations, imagePullSecrets } = scope.values;
  const labels = selectorLabels(scope, 'redis');
  const ping = { exec: { command: ['sh', '-c', PING] }, timeoutSeconds: 5 };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: metadataOf(scope, 'redis'),
    spec: {
      replicas: 1,
      serviceName: `${scope.name}-redis`,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          imagePullSecrets,
          securityContext: { ...POD_SECURITY, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
          containers: [
            {
              name: 'redis',
              image: redis.image,
              command: ['sh', '-c', START],
              ports: [{ name: 'redis', containerPort: PORT }],
              startupProbe: { ...ping, periodSeconds: 2, failureThreshold: 60 },
              livenessProbe: { ...ping, periodSeconds: 20 },
              readinessProbe: { ...ping, periodSeconds: 5 },
              securityContext: CONTAINER_SECURITY,
              resources: redis.resources,
              volumeMounts: [
                { name: 'data', mountPath: '/data' },
                {
                  name: 'settings',
                  mountPath: '/usr/local/etc/farm-redis.conf',
                  subPath: 'farm-redis.conf',
                  readOnly: true,
                },
                { name: 'password', mountPath: '/run/secrets/slipway', readOnly: true },
                { name: 'tmp', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            { name: 'settings', configMap: { name: `${scope.name}-redis` } },
            {
              name: 'password',
              secret: {
                secretName,
                defaultMode: 0o440,
                items: [{ key: 'redis-password', path: 'redis-password' }],
              },
            },
            { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          ],
          nodeSelector,
          tolerations,
        },
      },
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: redis.storage } } },
        },
      ],
    },
  };
}
