import { FAILURES } from '../contracts/failures.ts';
import { SUPPORTED_STEP_TYPES } from '../contracts/module/step-types.ts';
import { PHASES } from '../contracts/phases.ts';
import type { MetricRow } from './metric-row.ts';

/** Seconds; from an idle hand-off to an import of hours. */
const DURATIONS = [0.1, 1, 5, 15, 60, 180, 600, 1800, 3600, 7200];
const WAITS = [0.002, 0.005, 0.01, 0.015, 0.03, 0.06, 0.125, 0.5, 2, 10, 60, 600, 3600];
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

/** Builds, their modules and phases: how many, how they ended, how long they took. */
export const BUILD_METRICS = {
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
} as const satisfies Record<string, MetricRow>;
