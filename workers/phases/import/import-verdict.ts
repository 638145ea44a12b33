import type { FailureReason } from '../../../common/contracts/failures.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';

/** How a volume stands; CDI itself retries every failure without end, except a wrong checksum. */
export type Verdict =
  | { readonly kind: 'running'; readonly progress: string | undefined }
  | { readonly kind: 'succeeded' }
  /** Filled as soon as a machine with it is started. */
  | { readonly kind: 'unplaced' }
  | ({ readonly kind: 'failed' } & Fault)
  /** A condition that may pass by itself: a failure if it lasts longer than `graceMs`. */
  | ({ readonly kind: 'stuck'; readonly graceMs: number } & Fault);

interface Fault {
  readonly reason: FailureReason;
  readonly message: string;
}

/** Restarts of the importer after which we give up on what might heal. */
const MAX_RESTARTS = 3;

/**
 * Reasons of the `Running` condition while all is well. Any other is the reason of Kubernetes for a container that ended or cannot start
 * (`Error`, `RunContainerError`, `CreateContainerConfigError`, …), or CDI's `ImagePullFailed`.
 */
const WELL = new Set([
  ...['', 'Pending', 'ContainerCreating', 'PodInitializing', 'Pod is running', 'Populator is running'],
  ...['Scratch space required', 'Completed'],
]);
/** CDI joins its messages about the two pods of a copy. */
const AND = ' and ';

/** CDI's pods have no rights of root, so a block device must be theirs: the container runtime hands it over, or does not. */
const BLOCK_DEVICE = /cdi-block-volume\S*: Permission denied/i;
const HAND_OVER =
  "Block devices belong to root in CDI's pods: set device_ownership_from_security_context = true in the configuration of containerd or CRI-O on every node, or use storage with volumeMode Filesystem";

/**
 * Errors that no retry fixes, by the messages of CDI 1.66 (pkg/importer, pkg/image) and those that it hands on from
 * qemu-img and registries. `it is` begins the finding of an importer that inspects images first.
 */
const PERMANENT: readonly (readonly [RegExp, FailureReason])[] = [
  [/DataVolume too small to contain image|is larger than the reported available storage/, 'ImageTooLarge'],
  [/target resources requests storage size is smaller than the source/, 'ImageTooLarge'],
  [BLOCK_DEVICE, 'ClusterRefused'],
  [/expected status code 200, got 40[13]\b/, 'ImportFailed'],
  // Not: timed out, too early, too many requests.
  [/expected status code 200, got 4(?!08|25|29)\d\d\b/, 'SourceUnreachable'],
  [/is not a public address: |which may not be reached/, 'SourceUnreachable'],
  [/manifest unknown|name unknown|repository name not known to registry/i, 'SourceUnreachable'],
  [/Unable to obtain information about data source: it is /, 'ImportFailed'],
  [/could not process image header: EOF/, 'ImportFailed'],
  [/Invalid format \S+ for image|is invalid because it has invalid backing file/, 'ImportFailed'],
  [/encrypt\.key-secret|key-secret' is required for cipher|Image is corrupt/, 'ImportFailed'],
  [/Failed to find VM disk image file in the container image|no image found in image index/, 'ImportFailed'],
];

/** Whole words only: numbers of a log's time stamps are none of a status. */
const UNREACHABLE =
  /expected status code 200, got \d|Unable to connect to \w+ data source|HTTP request errored|\bdial tcp\b|no such host|connection (refused|reset)|pinging container registry|unauthorized|access denied|i\/o timeout|x509:|certificate|\b(ENOTFOUND|ECONN\w+|EAI_AGAIN|ETIMEDOUT)\b|unable to connect|was silent for/i;

const MINUTE_MS = 60_000;

/**
 * Reasons of any condition under which CDI has not begun, by how long they may last for new objects: a
 * class gets its profile, a snapshot its size, a quota is freed by what ends.
 */
const OBSTACLES: Readonly<Record<string, { readonly graceMs: number; readonly reason: FailureReason }>> = {
  ErrClaimNotValid: { graceMs: 10_000, reason: 'ClusterRefused' },
  ErrExceededQuota: { graceMs: MINUTE_MS, reason: 'ClusterRefused' },
  ErrStartingPod: { graceMs: MINUTE_MS, reason: 'ClusterRefused' },
  ErrResourceExists: { graceMs: MINUTE_MS, reason: 'ClusterRefused' },
  CloneValidationFailed: { graceMs: MINUTE_MS, reason: 'ImportFailed' },
  CloneWithoutSource: { graceMs: MINUTE_MS, reason: 'SourceUnreachable' },
  Unschedulable: { graceMs: 10 * MINUTE_MS, reason: 'NotScheduled' },
};
/** Claims grow in seconds; a node that comes first takes minutes. */
const EXPANSION_MS = 10 * MINUTE_MS;
/** Ended pods are restarted within it. */
const RESTART_MS = 2 * MINUTE_MS;

/** Why CDI makes no progress, if a condition or the phase shows it. */
function obstacleOf({ status, spec }: DataVolume): Verdict | undefined {
  for (const { reason = '', message = '' } of status?.conditions ?? []) {
    const obstacle = OBSTACLES[reason];
    if (!obstacle) continue;
    const [, permanent] = PERMANENT.find(([sentence]) => sentence.test(message)) ?? [];
    if (permanent) return failed(permanent, `${reason}: ${message}`);
    const { storageClassName } = spec.storage ?? {};
    const which = reason === 'ErrClaimNotValid' && storageClassName ? ` (storage class "${storageClassName}")` : '';
    return { kind: 'stuck', ...obstacle, message: `${reason}: ${message}${which}` };
  }
  if (status?.phase !== 'PrepClaimInProgress' && status?.phase !== 'ExpansionInProgress') return undefined;
  const message =
    'The volume expansion does not end: the storage class has no resizer that works, or the pod that CDI prepares the claim with found no node';
  return { kind: 'stuck', graceMs: EXPANSION_MS, reason: 'ImportFailed', message };
}

/** Judges a DataVolume by its status. */
export function importVerdict(volume: DataVolume): Verdict {
  const { status, spec } = volume;
  if (status?.phase === 'Succeeded') return { kind: 'succeeded' };
  if (status?.phase === 'WaitForFirstConsumer' || status?.phase === 'PendingPopulation') return { kind: 'unplaced' };
  const running = status?.conditions?.find(({ type }) => type === 'Running');
  const message = wordsOf(running?.message);
  if (status?.phase === 'Failed') {
    const lost = status.conditions?.find(({ reason }) => reason === 'ClaimLost');
    if (lost) return failed('ClusterRefused', 'The claim has lost its volume (ClaimLost)');
    const isChecksum = /checksum/i.test(`${running?.reason} ${message}`);
    return failed(isChecksum ? 'ChecksumMismatch' : 'ImportFailed', message || 'The import failed');
  }
  const obstacle = obstacleOf(volume);
  if (obstacle) return obstacle;
  const restarts = status?.restartCount ?? 0;
  // While a copy restarts, the condition still reports that its pod runs.
  const isClone = spec.source?.pvc !== undefined || spec.source?.snapshot !== undefined;
  if (isClone && restarts > MAX_RESTARTS)
    return failed('ImportFailed', message || `CDI began the copy ${restarts} times`);
  const isWell = running?.status === 'True' || (running?.reason ?? '').split(AND).every((part) => WELL.has(part));
  if (message === '' || isWell) return { kind: 'running', progress: status?.progress };
  const [, permanent] = PERMANENT.find(([sentence]) => sentence.test(message)) ?? [];
  if (permanent) return failed(permanent, message);
  // Without a count no pod was restarted: a clone that CDI cannot plan.
  if (restarts === 0) return { kind: 'stuck', graceMs: RESTART_MS, reason: 'ImportFailed', message };
  if (restarts < MAX_RESTARTS) return { kind: 'running', progress: status?.progress };
  if (/no space left|disk quota exceeded/i.test(message)) return failed('ImageTooLarge', message);
  return failed(UNREACHABLE.test(message) && !isClone ? 'SourceUnreachable' : 'ImportFailed', message);
}

/** For two pods without messages, CDI's message is only the separator. */
function wordsOf(message = ''): string {
  const parts = message.split(AND).map((part) => part.trim());
  return parts.filter((part) => part !== '').join(AND);
}

function failed(reason: FailureReason, message: string): Verdict {
  return { kind: 'failed', reason, message: BLOCK_DEVICE.test(message) ? `${message}. ${HAND_OVER}` : message };
}
