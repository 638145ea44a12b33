/** Seconds; from an idle hand-off to an import of hours. */
const DURATIONS = [0.1, 1, 5, 15, 60, 180, 600, 1800, 3600, 7200];
const HAND_OFFS = [0.002, 0.005, 0.01, 0.015, 0.03, 0.06, 0.125, 0.5, 2, 10, 60];

interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

/** Every metric of the farm; dashboards and alert rules are made from these names. No label carries an id. */
export const METRICS = {
  phaseJobs: {
    type: 'counter',
    name: 'slipway_phase_jobs_total',
    help: 'Phase jobs that ended, by phase, outcome and, for failures, reason.',
    labels: ['phase', 'outcome', 'reason'],
  },
  phaseDuration: {
    type: 'histogram',
    name: 'slipway_phase_duration_seconds',
    help: 'How long a phase job ran, from its first claim to its commit.',
    labels: ['phase', 'outcome'],
    buckets: DURATIONS,
  },
  handOff: {
    type: 'histogram',
    name: 'slipway_phase_hand_off_seconds',
    help: 'Time from the commit that made a phase ready to its first claim, waiting for slots included.',
    labels: ['phase'],
    buckets: HAND_OFFS,
  },
  retries: {
    type: 'counter',
    name: 'slipway_phase_retries_total',
    help: 'Phase jobs that are tried again, by phase.',
    labels: ['phase'],
  },
  queueDepth: {
    type: 'gauge',
    name: 'slipway_queue_depth',
    help: 'Jobs on the queue of a phase and cluster, by state.',
    labels: ['phase', 'cluster', 'state'],
  },
  slotsUsed: {
    type: 'gauge',
    name: 'slipway_cluster_used',
    help: 'What the farm uses of a cluster: imports, vms, cpu in cores, memory in bytes.',
    labels: ['cluster', 'resource'],
  },
  slotsLimit: {
    type: 'gauge',
    name: 'slipway_cluster_limit',
    help: 'What the farm may use of a cluster, in the same units.',
    labels: ['cluster', 'resource'],
  },
  workerCapacity: {
    type: 'gauge',
    name: 'slipway_worker_capacity',
    help: 'Phase jobs that the workers of a phase and cluster can run at once.',
    labels: ['phase', 'cluster'],
  },
  builds: {
    type: 'counter',
    name: 'slipway_builds_total',
    help: 'Builds that ended, by outcome.',
    labels: ['outcome'],
  },
  modules: {
    type: 'counter',
    name: 'slipway_modules_total',
    help: 'Modules that were built, by outcome.',
    labels: ['outcome'],
  },
  moduleDuration: {
    type: 'histogram',
    name: 'slipway_module_duration_seconds',
    help: 'How long modules took from their first phase to their end, by outcome.',
    labels: ['outcome'],
    buckets: DURATIONS,
  },
  layers: {
    type: 'counter',
    name: 'slipway_layers_total',
    help: 'Modules of accepted builds, by whether they are built, reused or joined.',
    labels: ['action'],
  },
  repairs: {
    type: 'counter',
    name: 'slipway_repairs_total',
    help: 'Jobs that the safety sweep dispatched again because the queue had lost them.',
    labels: ['phase'],
  },
  swept: {
    type: 'counter',
    name: 'slipway_swept_total',
    help: 'Generations of layer builds whose objects the sweeper removed, by cluster and why.',
    labels: ['cluster', 'why'],
  },
  clusterHealthy: {
    type: 'gauge',
    name: 'slipway_cluster_healthy',
    help: '1 while the Kubernetes API of the cluster answers.',
    labels: ['cluster'],
  },
  apiErrors: {
    type: 'counter',
    name: 'slipway_kubernetes_errors_total',
    help: 'Errors of the Kubernetes API, by cluster and HTTP status; 0 without an answer.',
    labels: ['cluster', 'status'],
  },
} as const satisfies Record<string, MetricRow>;
