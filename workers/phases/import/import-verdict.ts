import type { FailureReason } from '../../../common/contracts/failures.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';

/** How an import stands; CDI itself repeats for ever whatever goes wrong, except a wrong checksum. */
export type Verdict =
  | { readonly kind: 'running'; readonly progress: string | undefined }
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly reason: FailureReason; readonly message: string };

/** Restarts of the importer after which we give up. */
const MAX_RESTARTS = 3;
/** The same for faults that do not heal by themselves. */
const MAX_CERTAIN_RESTARTS = 2;

const TOO_SMALL = /too small|larger than|exceeds|no space left/i;
const UNREACHABLE =
  /status code|manifest unknown|name unknown|unauthorized|access denied|unable to connect|connection|no such host|lookup|ENOTFOUND|ECONN|EAI_AGAIN|timed? ?out|certificate|x509|4\d\d|5\d\d/i;
const CERTAIN = /too small|larger than|manifest unknown|name unknown|\b(401|403|404|410)\b/i;

/** Judges a DataVolume by its status. */
export function importVerdict({ status }: DataVolume): Verdict {
  if (status?.phase === 'Succeeded') return { kind: 'succeeded' };
  const running = status?.conditions?.find(({ type }) => type === 'Running');
  const message = running?.message?.trim() ?? '';
  if (status?.phase === 'Failed') {
    const isChecksum = /checksum/i.test(`${running?.reason} ${message}`);
    return {
      kind: 'failed',
      reason: isChecksum ? 'ChecksumMismatch' : 'ImportFailed',
      message: message || 'The import failed',
    };
  }
  const restarts = status?.restartCount ?? 0;
  const limit = CERTAIN.test(message) ? MAX_CERTAIN_RESTARTS : MAX_RESTARTS;
  if (restarts >= limit && message !== '' && running?.reason === 'Error') {
    return { kind: 'failed', reason: reasonOf(message), message };
  }
  return { kind: 'running', progress: status?.progress };
}

function reasonOf(message: string): FailureReason {
  if (TOO_SMALL.test(message)) return 'ImageTooLarge';
  return UNREACHABLE.test(message) ? 'SourceUnreachable' : 'ImportFailed';
}
