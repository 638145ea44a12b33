import type { FailureReason } from '../../../common/contracts/failures.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';

/** How an import stands; CDI itself repeats for ever whatever goes wrong, except a wrong checksum. */
export type Verdict =
  | { readonly kind: 'running'; readonly progress: string | undefined }
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly reason: FailureReason; readonly message: string };

/** Restarts of the importer after which we give up on what might heal. */
const MAX_RESTARTS = 3;

/** Reasons of the `Running` condition under which a pod of CDI's has ended with a message. */
const ENDED = ['Error', 'ImagePullFailed', 'RunContainerError', 'StartError', 'OOMKilled'];

/**
 * What no further try mends, by the sentences of CDI 1.66 (pkg/importer, pkg/image) and those that it hands on from
 * qemu-img and registries. `it is` begins what the embedded importer found instead of an image.
 */
const PERMANENT: readonly (readonly [RegExp, FailureReason])[] = [
  [/DataVolume too small to contain image|is larger than the reported available storage/, 'ImageTooLarge'],
  [/target resources requests storage size is smaller than the source/, 'ImageTooLarge'],
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

/** Conditions, whatever their type, that stand for good: a claim that cannot be made, a clone that does not fit. */
function hopeless({ status }: DataVolume): string | undefined {
  const found = status?.conditions?.find(
    ({ reason, message = '' }) =>
      reason === 'ErrClaimNotValid' || (reason === 'CloneValidationFailed' && !/no restore size/.test(message)),
  );
  return found && `${found.reason}: ${found.message}`;
}

/** Judges a DataVolume by its status. */
export function importVerdict(volume: DataVolume): Verdict {
  const { status, spec } = volume;
  if (status?.phase === 'Succeeded') return { kind: 'succeeded' };
  const running = status?.conditions?.find(({ type }) => type === 'Running');
  const message = running?.message?.trim() ?? '';
  if (status?.phase === 'Failed') {
    const isChecksum = /checksum/i.test(`${running?.reason} ${message}`);
    return failed(isChecksum ? 'ChecksumMismatch' : 'ImportFailed', message || 'The import failed');
  }
  const obstacle = hopeless(volume);
  if (obstacle !== undefined) return failed('ImportFailed', obstacle);
  const restarts = status?.restartCount ?? 0;
  // While a copy restarts, the condition goes on saying that its pod runs.
  const isClone = spec.source?.pvc !== undefined || spec.source?.snapshot !== undefined;
  if (isClone && restarts > MAX_RESTARTS)
    return failed('ImportFailed', message || `CDI began the copy ${restarts} times`);
  if (message === '' || !ENDED.includes(running?.reason ?? '')) return { kind: 'running', progress: status?.progress };
  const [, permanent] = PERMANENT.find(([sentence]) => sentence.test(message)) ?? [];
  if (permanent) return failed(permanent, message);
  if (restarts < MAX_RESTARTS) return { kind: 'running', progress: status?.progress };
  if (/no space left|disk quota exceeded/i.test(message)) return failed('ImageTooLarge', message);
  return failed(UNREACHABLE.test(message) && !isClone ? 'SourceUnreachable' : 'ImportFailed', message);
}

function failed(reason: FailureReason, message: string): Verdict {
  return { kind: 'failed', reason, message };
}
