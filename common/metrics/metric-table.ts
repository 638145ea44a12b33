import { FAILURES } from '../contracts/failures.ts';
import { SUPPORTED_STEP_TYPES } from '../contracts/module/step-types.ts';
import { PHASES } from '../contracts/phases.ts';

/** Seconds; from an idle hand-off to an import of hours. */
const DURATIONS = [0.1, 1, 5, 15, 60, 180, 600, 1800, 3600, 7200];
const WAITS = [0.002, 0.005, 0.01, 0.015, 0.03, 0.06, 0.125, 0.5, 2, 10, 60, 600, 3600];
const REPLIES = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const SIZES = [
  2 ** 20,
  2 ** 24,
  2 ** 27,
  2 ** 29,
  2 ** 30,
  2 ** 31,
  2 ** 32,
  2 ** 33,
  2 ** 34,
  2 ** 35,
  2 ** 36,
  2 ** 37,
];

const ENDS = ['succeeded', 'failed', 'cancelled'];
const PHASE_ENDS = ['succeeded', 'failed', 'requeue', 'cancelled'];
const WENT = ['succeeded', 'failed'];

/** A value of a label that is known when the process starts, by label. */
type LabelSet = Readonly<Record<string, string>>;

interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  /** Which processes touch it. */
  readonly of: readonly ('scheduler' | 'worker')[];
  /** The values of each label; null where the configuration or a cluster decides. None is ever an id. */
  readonly labels: Readonly<Record<string, readonly string[] | null>>;
  /** Which combinations exist, where not all of them do. */
  readonly series?: readonly LabelSet[];
  readonly buckets?: readonly number[];
}

/** Every metric of the farm; dashboards, alert rules and docs/metrics.md are made from these names. */
export const METRICS = {
  builds: {
    type: 'counter',
    name: 'slipway_builds_total',
    help: 'Builds that ended, by outcome.',
    of: ['scheduler'],
    labels: { outcome: ENDS },
  },
  modules: {
    type: 'counter',
    name: 'slipway_modules_total',
    help: 'Modules that were built, by outcome.',
    of: ['scheduler'],
    labels: { outcome: ENDS },
  },
  moduleDuration: {
    type: 'histogram',
    name: 'slipway_module_duration_seconds',
    help: 'How long modules took from their first phase to their end, by outcome.',
    of: ['scheduler'],
    labels: { outcome: ENDS },
    buckets: DURATIONS,
  },
  layers: {
    type: 'counter',
    name: 'slipway_layers_total',
    help: 'Modules of accepted builds, by whether they are built, reused or joined.',
    of: ['scheduler'],
    labels: { action: ['build', 'reuse', 'join'] },
  },
  phaseJobs: {
    type: 'counter',
    name: 'slipway_phase_jobs_total',
    help: 'Phase jobs that ended, by phase, outcome and what had failed; requeue: tried again.',
    of: ['worker'],
    labels: { phase: PHASES, outcome: PHASE_ENDS, reason: ['', ...Object.keys(FAILURES)] },
    series: [
      ...PHASE_ENDS.filter((outcome) => outcome !== 'failed').map((outcome) => ({ outcome, reason: '' })),
      ...Object.keys(FAILURES).map((reason) => ({ outcome: 'failed', reason })),
      { outcome: 'requeue', reason: 'Fault' },
    ],
  },
  phaseDuration: {
    type: 'histogram',
    name: 'slipway_phase_duration_seconds',
    help: 'How long a phase job ran, from its first claim to its commit.',
    of: ['worker'],
    labels: { phase: PHASES, outcome: PHASE_ENDS },
    buckets: DURATIONS,
  },
  retries: {
    type: 'counter',
    name: 'slipway_phase_retries_total',
    help: 'Phase jobs that are tried again, by phase.',
    of: ['worker'],
    labels: { phase: PHASES },
  },
  handOff: {
    type: 'histogram',
    name: 'slipway_phase_hand_off_seconds',
    help: 'Time from the commit that made a phase ready to its first claim, waiting for slots included.',
    of: ['worker'],
    labels: { phase: PHASES },
    buckets: WAITS,
  },
  queueWait: {
    type: 'histogram',
    name: 'slipway_queue_wait_seconds',
    help: 'Time that a job was on its queue until a worker took it.',
    of: ['worker'],
    labels: { phase: PHASES },
    buckets: WAITS,
  },
  importDuration: {
    type: 'histogram',
    name: 'slipway_import_duration_seconds',
    help: 'Time until a source was in its cluster, as seen by each VM that waited for one.',
    of: ['worker'],
    labels: { outcome: WENT },
    buckets: DURATIONS,
  },
  importBytes: {
    type: 'histogram',
    name: 'slipway_import_size_bytes',
    help: 'Virtual sizes of the sources that were imported, as seen by each VM that waited for one.',
    of: ['worker'],
    labels: {},
    buckets: SIZES,
  },
  keystrokes: {
    type: 'counter',
    name: 'slipway_keystrokes_total',
    help: 'Keys that were pressed on consoles.',
    of: ['worker'],
    labels: {},
  },
  typingDuration: {
    type: 'histogram',
    name: 'slipway_typing_duration_seconds',
    help: 'How long boot commands were typed, their waits included.',
    of: ['worker'],
    labels: { outcome: WENT },
    buckets: DURATIONS,
  },
  sshWait: {
    type: 'histogram',
    name: 'slipway_ssh_wait_seconds',
    help: 'Time from the last key, or the start without one, until the guest was up: cloud-init included.',
    of: ['worker'],
    labels: { outcome: WENT },
    buckets: DURATIONS,
  },
  stepDuration: {
    type: 'histogram',
    name: 'slipway_step_duration_seconds',
    help: 'How long steps took in guests, by type and outcome.',
    of: ['worker'],
    labels: { type: SUPPORTED_STEP_TYPES, outcome: WENT },
    buckets: DURATIONS,
  },
  adoptedScripts: {
    type: 'counter',
    name: 'slipway_guest_scripts_adopted_total',
    help: 'Scripts that were found running in a guest by a worker which had not started them.',
    of: ['worker'],
    labels: {},
  },
  snapshotDuration: {
    type: 'histogram',
    name: 'slipway_snapshot_duration_seconds',
    help: 'Time until all disks of a VM were captured, from the request on.',
    of: ['worker'],
    labels: { outcome: WENT },
    buckets: DURATIONS,
  },
  queueDepth: {
    type: 'gauge',
    name: 'slipway_queue_depth',
    help: 'Jobs on the queue of a phase and cluster, by state.',
    of: ['scheduler'],
    labels: { phase: PHASES, cluster: null, state: ['waiting', 'active'] },
  },
  queueOldest: {
    type: 'gauge',
    name: 'slipway_queue_oldest_seconds',
    help: 'Age of the oldest job that waits on the queue of a phase and cluster; 0 without one.',
    of: ['scheduler'],
    labels: { phase: PHASES, cluster: null },
  },
  admissionWaiting: {
    type: 'gauge',
    name: 'slipway_admission_waiting',
    help: 'Imports, or modules whose machines start together, that are ready and wait for room on a cluster.',
    of: ['scheduler'],
    labels: { cluster: null, kind: ['imports', 'modules'] },
  },
  slotsUsed: {
    type: 'gauge',
    name: 'slipway_cluster_used',
    help: 'Resources of a cluster that the farm uses: imports, vms, cpu in cores, memory in bytes.',
    of: ['scheduler'],
    labels: { cluster: null, resource: ['imports', 'vms', 'cpu', 'memory'] },
  },
  slotsLimit: {
    type: 'gauge',
    name: 'slipway_cluster_limit',
    help: 'Limits of the farm on a cluster, in the same units.',
    of: ['scheduler'],
    labels: { cluster: null, resource: ['imports', 'vms', 'cpu', 'memory'] },
  },
  workerCapacity: {
    type: 'gauge',
    name: 'slipway_worker_capacity',
    help: 'Phase jobs that the workers of a phase and cluster can run at once; 0 without a worker.',
    of: ['scheduler'],
    labels: { phase: PHASES, cluster: null },
  },
  handbuildsWaiting: {
    type: 'gauge',
    name: 'slipway_handbuilds_waiting',
    help: 'Machines whose step waits for a person at the console.',
    of: ['scheduler'],
    labels: { cluster: null },
  },
  clonesRunning: {
    type: 'gauge',
    name: 'slipway_clone_machines',
    help: 'Machines of running clones that are up.',
    of: ['scheduler'],
    labels: { cluster: null },
  },
  clusterHealthy: {
    type: 'gauge',
    name: 'slipway_cluster_healthy',
    help: '1 while the Kubernetes API of the cluster answers.',
    of: ['scheduler'],
    labels: { cluster: null },
  },
  storageFree: {
    type: 'gauge',
    name: 'slipway_storage_free_bytes',
    help: 'Free storage for volumes, as the driver of the storage class reports it; absent without a report.',
    of: ['scheduler'],
    labels: { cluster: null },
  },
  storageLeast: {
    type: 'gauge',
    name: 'slipway_storage_least_bytes',
    help: 'Free storage for volumes below which the cluster takes no more builds.',
    of: ['scheduler'],
    labels: { cluster: null },
  },
  apiErrors: {
    type: 'counter',
    name: 'slipway_kubernetes_errors_total',
    help: 'Errors of the Kubernetes API, by cluster and HTTP status; 0 without an answer.',
    of: ['scheduler', 'worker'],
    labels: { cluster: null, status: ['0', '403', '404', '409', '410', '422', '429', '500', '503'] },
  },
  watchRestarts: {
    type: 'counter',
    name: 'slipway_watch_restarts_total',
    help: 'Watches that broke and were opened again, by cluster and reason; ends that the server announced are not counted.',
    of: ['scheduler', 'worker'],
    labels: { cluster: null, why: ['expired', 'error'] },
  },
  repairs: {
    type: 'counter',
    name: 'slipway_repairs_total',
    help: 'Jobs that the safety sweep dispatched again because the queue had lost them.',
    of: ['scheduler'],
    labels: { phase: PHASES },
  },
  swept: {
    type: 'counter',
    name: 'slipway_swept_total',
    help: 'Generations of layer builds whose objects the sweeper removed, by cluster and why.',
    of: ['scheduler'],
    labels: { cluster: null, why: ['orphan', 'former-generation', 'succeeded', 'failed', 'cancelled'] },
  },
  redisUp: {
    type: 'gauge',
    name: 'slipway_redis_up',
    help: '1 when Redis answered the scheduler at this scrape; other gauges of the farm are absent while it is 0.',
    of: ['scheduler'],
    labels: {},
  },
  redisNoEviction: {
    type: 'gauge',
    name: 'slipway_redis_noeviction',
    help: "1 while Redis's maxmemory-policy is noeviction; otherwise it may evict the state of the farm.",
    of: ['scheduler'],
    labels: {},
  },
  redisMemoryUsed: {
    type: 'gauge',
    name: 'slipway_redis_memory_used_bytes',
    help: 'Memory that Redis uses.',
    of: ['scheduler'],
    labels: {},
  },
  redisMemoryLimit: {
    type: 'gauge',
    name: 'slipway_redis_memory_limit_bytes',
    help: 'Memory that Redis may use: its maxmemory, or without one the memory of its machine.',
    of: ['scheduler'],
    labels: {},
  },
  redisLatency: {
    type: 'histogram',
    name: 'slipway_redis_reply_seconds',
    help: 'Time until Redis answered a request; blocking requests are excluded.',
    of: ['scheduler', 'worker'],
    labels: {},
    buckets: REPLIES,
  },
} as const satisfies Record<string, MetricRow>;

/** A row, without its exact type. */
export type AnyMetric = MetricRow;

/** Those of prom-client's own metrics that dashboards show; every process has them. */
export const PROCESS_METRICS = {
  cpu: 'slipway_process_cpu_seconds_total',
  memory: 'slipway_process_resident_memory_bytes',
  eventLoopLag: 'slipway_nodejs_eventloop_lag_p99_seconds',
} as const;
