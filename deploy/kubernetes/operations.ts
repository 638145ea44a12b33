import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { METRICS } from '../../common/metrics/metric-table.ts';
import { type Manifest, metadataOf, type Part, selectorLabels, text } from './parts.ts';
import type { Scope } from './values.ts';
import { valuesKey } from './workloads.ts';

const RULES = new URL('../prometheus/rules/', import.meta.url);

/** Objects of the Prometheus operator: what it scrapes, and the alert rules of deploy/prometheus/rules. */
export function monitoring(scope: Scope): Part[] {
  const groups = ruleGroups();
  const rules: Manifest[] =
    groups.length === 0
      ? []
      : [
          {
            apiVersion: 'monitoring.coreos.com/v1',
            kind: 'PrometheusRule',
            metadata: metadataOf(scope, 'rules'),
            spec: { groups },
          },
        ];
  const objects = [serviceMonitor(scope), podMonitor(scope), ...rules];
  return [{ file: 'monitoring', when: { path: 'monitoring.enabled' }, objects }];
}

/** The metrics lie behind the token of the HTTP API. */
function endpoint({ values }: Scope): object {
  return {
    port: 'http',
    interval: values.monitoring.interval,
    authorization: { type: 'Bearer', credentials: { name: values.secretName, key: 'token' } },
  };
}

function serviceMonitor(scope: Scope): Manifest {
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: metadataOf(scope, 'scheduler'),
    spec: { selector: { matchLabels: selectorLabels(scope, 'scheduler') }, endpoints: [endpoint(scope)] },
  };
}

/** Workers have no Service: nobody but Prometheus calls them. */
function podMonitor(scope: Scope): Manifest {
  const workers = { key: 'app.kubernetes.io/component', operator: 'In', values: PHASES };
  const matchLabels = { 'app.kubernetes.io/name': 'slipway', 'app.kubernetes.io/instance': scope.name };
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: metadataOf(scope, 'workers'),
    spec: { selector: { matchLabels, matchExpressions: [workers] }, podMetricsEndpoints: [endpoint(scope)] },
  };
}

function ruleGroups(): unknown[] {
  if (!existsSync(RULES)) return [];
  const files = readdirSync(RULES).filter((file) => /\.ya?ml$/.test(file) && !file.includes('.test.'));
  return files.toSorted().flatMap((file) => {
    const document = parse(readFileSync(new URL(file, RULES), 'utf8')) as { groups?: unknown[] } | null;
    return document?.groups ?? [];
  });
}

/**
 * More workers of a phase when theirs fill up, by what is on its queues: waiting and running jobs. Jobs reach a queue
 * only when the limits of a cluster admit them, so this never scales beyond what clusters take. There is always one
 * worker: without advertised room nothing is admitted.
 */
export function autoscaling(scope: Scope): Part[] {
  return [
    {
      file: 'autoscaling-hpa',
      when: { path: 'autoscaling.by', is: 'hpa' },
      objects: PHASES.map((phase) => horizontalAutoscaler(scope, phase)),
    },
    {
      file: 'autoscaling-keda',
      when: { path: 'autoscaling.by', is: 'keda' },
      objects: PHASES.map((phase) => scaledObject(scope, phase)),
    },
  ];
}

/** Handing work back is cheap but not free: shrink slowly. */
const SHRINK = { stabilizationWindowSeconds: 300, policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }] };

function horizontalAutoscaler(scope: Scope, phase: Phase): Manifest {
  const { minReplicas, maxReplicas, targetJobs } = scope.values.workers[valuesKey(phase)];
  const metric = { name: METRICS.queueDepth.name, selector: { matchLabels: { phase } } };
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: metadataOf(scope, phase),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: `${scope.name}-${phase}` },
      minReplicas,
      maxReplicas,
      metrics: [
        { type: 'External', external: { metric, target: { type: 'AverageValue', averageValue: text`${targetJobs}` } } },
      ],
      behavior: { scaleDown: SHRINK },
    },
  };
}

function scaledObject(scope: Scope, phase: Phase): Manifest {
  const { workers, autoscaling } = scope.values;
  const { minReplicas, maxReplicas, targetJobs } = workers[valuesKey(phase)];
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: metadataOf(scope, phase),
    spec: {
      scaleTargetRef: { name: `${scope.name}-${phase}` },
      minReplicaCount: minReplicas,
      maxReplicaCount: maxReplicas,
      advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: SHRINK } } },
      triggers: [
        {
          type: 'prometheus',
          metricType: 'AverageValue',
          metadata: {
            serverAddress: autoscaling.prometheusUrl,
            // Every scheduler reports the same depth.
            query: `sum(max by (cluster, state) (${METRICS.queueDepth.name}{phase="${phase}"}))`,
            threshold: text`${targetJobs}`,
          },
        },
      ],
    },
  };
}
