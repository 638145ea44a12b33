import { type ExportView, exportViewSchema } from '../../../common/contracts/exports.ts';
import { layerDiskUrl } from '../../../common/contracts/layer-disks.ts';
import type { DiskOrigin, LayerDisk, LayerRecord } from '../../../common/contracts/layers.ts';
import { errorMessage } from '../../../common/errors/farm-error.ts';
import { fetchSource } from '../../../common/fetch/fetch-source.ts';
import type { Filling } from '../../cluster/volume-size.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import type { ProgressLog } from './progress-log.ts';
import { ensureSource } from './sources.ts';

/** After a missing answer or a transient error the request is repeated. */
const ASK_AGAIN_MS = 2_000;
const PASSING: ReadonlySet<string> = new Set([
  'ClusterUnavailable',
  'ConnectionLost',
  'RedisUnavailable',
  'TooManyRequests',
]);

/** A disk of a parent's layer that is on another cluster. */
export interface ForeignDisk {
  readonly origin: Extract<DiskOrigin, { kind: 'layer' }>;
  readonly record: LayerRecord;
  readonly disk: LayerDisk;
}

/**
 * A copy of a disk that another cluster has: the schedulers export it there and serve it, and this cluster imports it once for
 * all builds, as a shared source.
 */
export async function copyOfDisk(context: PhaseContext, foreign: ForeignDisk, log: ProgressLog): Promise<Filling> {
  const { origin, record, disk } = foreign;
  const what = `disk "${disk.name}" of ${record.module}:${record.version} on the cluster "${record.cluster}"`;
  if (context.claim.spec.blobsUrl === undefined) {
    throw new PhaseFailure('SourceUnreachable', `The ${what} cannot be copied: no scheduler can be reached from here`, {
      evidence: { hints: ['Set `blobs.directory` and `blobs.url`: layers are copied between clusters through them.'] },
    });
  }
  const url = layerDiskUrl(origin);
  const copied = {
    kind: 'copy' as const,
    ...{ url, what, sizeBytes: disk.sizeBytes },
    checksum: async () => ({ algorithm: 'sha256' as const, hex: await whenExported(context, { url, what }, log) }),
  };
  const request = { origin: copied, identity: url, askedBytes: disk.sizeBytes, what, use: 'disk' as const };
  return ensureSource(context, request, log);
}

/** Waits until the schedulers have the file, and returns its SHA-256. An unreachable cluster only delays it. */
async function whenExported(
  context: PhaseContext,
  { url, what }: { readonly url: string; readonly what: string },
  log: ProgressLog,
): Promise<string> {
  const { claim, clock, signal } = context;
  const until = clock.now() + claim.spec.module.timeoutMs;
  for (;;) {
    const { state, percent, sha256, error } = await howFar(context, url);
    if (state === 'ready' && sha256 !== null) return sha256;
    log.progress(`${state} ${what}`, `${percent}%`);
    if (error === null) continue;
    if (!PASSING.has(error.code) || clock.now() > until) {
      throw new PhaseFailure('SourceUnreachable', `The ${what} could not be copied: ${error.message}`);
    }
    await clock.after(ASK_AGAIN_MS, signal);
  }
}

type HowFar = Pick<ExportView, 'percent' | 'sha256' | 'error'> & { readonly state: ExportView['state'] };

/** Answers when something has changed, or after some seconds. */
async function howFar({ addresses, signal }: PhaseContext, url: string): Promise<HowFar> {
  const { url: link, agent } = addresses.forWorker(url);
  try {
    const response = await fetchSource(`${link}&ask=1`, { agent, signal });
    return exportViewSchema.parse(await response.json());
  } catch (cause) {
    signal.throwIfAborted();
    const error = { code: 'ConnectionLost', message: `no scheduler reported its progress (${errorMessage(cause)})` };
    return { state: 'waiting', percent: 0, sha256: null, error };
  }
}
