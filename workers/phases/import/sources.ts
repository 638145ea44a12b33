import type { SourceKey } from '../../../common/contracts/layers.ts';
import { LABELS } from '../../../common/contracts/object-keys.ts';
import { sourceName } from '../../../common/contracts/object-names.ts';
import { VALIDATOR_PREFIX, validatorIdentity } from '../../../common/contracts/source-validator.ts';
import { errorMessage } from '../../../common/errors/farm-error.ts';
import { askValidator } from '../../../common/fetch/fetch-source.ts';
import type { DataVolume, VolumeSnapshot } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { snapshotObject, volumeObject } from '../../../common/kubernetes/volume-objects.ts';
import { waitFor, waitUntilGone } from '../../../common/kubernetes/wait-for.ts';
import { timed } from '../../../common/metrics/timed.ts';
import { keyLabel } from '../../cluster/build-scope.ts';
import { askedOf, type Filling, restoreBytes } from '../../cluster/volume-size.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { lastEvents, runStage } from '../../context/stage.ts';
import { createVolume } from './create-volume.ts';
import { importFailure } from './import-hints.ts';
import {
  type FetchedOrigin,
  type ImportOrigin,
  importable,
  importerSource,
  isUnpinned,
  knownBytes,
  nameOf,
  originText,
} from './import-origin.ts';
import { importVerdict, type Verdict } from './import-verdict.ts';
import type { ProgressLog } from './progress-log.ts';
import { judgeLook, lookAtSource, type SourceLook, type SourceUse } from './source-look.ts';
import { holdSource, keepSource } from './source-use.ts';
import { VolumePatience } from './volume-patience.ts';

/** Something to import. */
export interface RequestedSource {
  readonly origin: ImportOrigin;
  /** Null: it is imported for this volume alone. */
  readonly identity: SourceKey;
  /** Size of the disk that it is for; null: as large as the image. */
  readonly askedBytes: number | null;
  /** Name for readers, e.g. `disk "root"`. */
  readonly what: string;
  readonly use: SourceUse;
}

/** A source that an importer can fetch. */
interface SettledRequest extends RequestedSource {
  readonly origin: FetchedOrigin;
}

const SNAPSHOT_MS = 600_000;
const REMOVAL_MS = 120_000;
/** For images without a known size and disks without a requested one. */
const FALLBACK_BYTES = 10 * 1024 ** 3;
/** Another worker may remove a broken source that we wait for; then it is begun again. */
const MAX_ROUNDS = 3;

/**
 * The shared volume of a source, imported once per cluster for all builds, and its snapshot to clone from.
 * A broken one is removed, so that a later build begins again. An unknown source is not shared: the importer's.
 */
export async function ensureSource(
  context: PhaseContext,
  request: RequestedSource,
  log: ProgressLog,
): Promise<Filling> {
  const { cluster, signal, farm } = context;
  const { identity } = request;
  const look = await lookAt(context, request.origin);
  const what = nameOf(request, look);
  const known = knownBytes(request.origin, look);
  if (known !== undefined && request.askedBytes !== null && known > request.askedBytes) {
    const message = `The image of ${what} is a disk of ${known} bytes, but its target disk has only ${request.askedBytes}`;
    throw new PhaseFailure('ImageTooLarge', message);
  }
  const sizeBytes = known ?? request.askedBytes ?? FALLBACK_BYTES;
  const name = identity === null ? '' : sourceName(farm, known === undefined ? `${identity}:${sizeBytes}` : identity);
  const shared = { name, what: originText(request.origin) };
  if (identity !== null) await holdSource(context, shared);
  const ready = identity === null ? undefined : await cluster.get(RESOURCES.snapshots, name, { signal });
  if (ready && isUsable(ready)) {
    await keepSource(context, shared);
    return cloneSource(ready, { name, sizeBytes, namespace: cluster.namespace });
  }
  const advice = look && judgeLook(look, { what, use: request.use });
  if (advice !== undefined) log.write(advice);
  if (isUnpinned(request.origin)) {
    log.write(`${what} has no checksum: a truncated download would be imported as if it were complete`);
  }
  const settled = { ...request, origin: await importable(request.origin) };
  if (identity === null) return { ...importerSource(context, settled), contentBytes: sizeBytes, what };
  await assertUnchanged(context, settled);
  const { importDuration, importBytes } = context.metrics;
  await timed(context, importDuration, () => importOnce(context, { ...settled, what, identity, name, sizeBytes }, log));
  importBytes.observe(sizeBytes);
  const snapshot = await snapshotOf(context, name, identity);
  await keepSource(context, shared);
  return cloneSource(snapshot, { name, sizeBytes, namespace: cluster.namespace });
}

/** Undefined when only the importer will see it, as in a container image. */
async function lookAt(context: PhaseContext, origin: ImportOrigin): Promise<SourceLook | undefined> {
  if (origin.kind !== 'url') return undefined;
  const { addresses, signal, secrets } = context;
  const { url, agent } = addresses.forWorker(origin.url);
  const credentials = secrets.credentials(origin.credentials);
  return await lookAtSource(url, { agent, signal, ...(credentials ? { credentials } : {}) });
}

/**
 * A source without a checksum relies on its validator: the layer's key contains it.
 * @throws PhaseFailure `SourceChanged`, or `SourceUnreachable` when the server reports that the content no longer exists
 */
async function assertUnchanged(
  { agent, signal, secrets }: PhaseContext,
  { origin, identity, what }: SettledRequest,
): Promise<void> {
  if (origin.kind !== 'url' || !identity?.startsWith(VALIDATOR_PREFIX)) return;
  const { url } = origin;
  const credentials = secrets.credentials(origin.credentials);
  const asked = { agent, signal, ...(credentials ? { credentials } : {}) };
  const validator = await askValidator(url, asked).catch((error) => {
    signal.throwIfAborted();
    throw new PhaseFailure('SourceUnreachable', `Importing ${what}: ${errorMessage(error)}`, { cause: error });
  });
  // Null: only the cluster reaches it, and its importer reports the error.
  if (validator === null || validatorIdentity(url, validator) === identity) return;
  throw new PhaseFailure('SourceChanged', `The source of ${what} changed since it was planned`);
}

interface NamedSource extends SettledRequest {
  readonly identity: string;
  readonly name: string;
  readonly sizeBytes: number;
}

async function importOnce(context: PhaseContext, source: NamedSource, log: ProgressLog): Promise<void> {
  const { cluster, claim } = context;
  const { name, what } = source;
  const subjects = [
    { kind: 'DataVolume', name },
    { kind: 'PersistentVolumeClaim', name },
  ];
  await removeBroken(context, name, ['failed']);
  for (let round = 1; ; round += 1) {
    log.write(`importing ${what}`);
    const verdict = await runStage(cluster, { reason: 'ImportFailed', subjects }, async () => {
      await createVolume(context, sourceVolume(context, source), importerSource(context, source).credentials);
      return waitForImport(context, source, log);
    });
    if (verdict.kind === 'succeeded') return;
    if (verdict.kind === 'failed') {
      const evidence = { events: await lastEvents(cluster, subjects) };
      await removeBroken(context, name, ['failed', 'stuck']);
      throw importFailure(verdict.reason, `Importing ${what}: ${verdict.message}`, evidence);
    }
    if (round === MAX_ROUNDS) throw importFailure('ImportFailed', `Importing ${what}: the volume was removed again`);
    context.logger.info({ source: name, module: claim.spec.module.name }, 'A source was removed by another build');
  }
}

/** The verdict, or `running` when the volume vanished. */
function waitForImport(context: PhaseContext, { name, what }: NamedSource, log: ProgressLog): Promise<Verdict> {
  const { cluster, signal, claim } = context;
  let isSeen = false;
  const patience = new VolumePatience(context.clock);
  return waitFor<DataVolume, Verdict>(
    cluster,
    { resource: RESOURCES.dataVolumes, name },
    {
      signal,
      deadlineMs: claim.spec.module.timeoutMs,
      what: `${what} to be imported`,
      until: (volume, lookAgain) => {
        if (!volume) return isSeen ? { kind: 'running', progress: undefined } : undefined;
        isSeen = true;
        const verdict = patience.judge(volume, lookAgain);
        if (verdict.kind === 'running') log.progress(what, verdict.progress);
        return verdict.kind === 'running' || verdict.kind === 'unplaced' ? undefined : verdict;
      },
    },
  );
}

/** Removes a source that failed, by its uid: never one that another build has begun since. */
async function removeBroken(context: PhaseContext, name: string, broken: readonly Verdict['kind'][]): Promise<void> {
  const { cluster, signal, store, claim } = context;
  const volume = await cluster.get(RESOURCES.dataVolumes, name, { signal });
  const uid = volume?.metadata?.uid;
  if (!volume || !uid || !broken.includes(importVerdict(volume).kind)) return;
  await store.assertCurrent(claim);
  await cluster.delete(RESOURCES.dataVolumes, name, { uid, signal });
  const removal = { signal, deadlineMs: REMOVAL_MS, what: `the broken source "${name}" to be removed` };
  await waitUntilGone(cluster, { resource: RESOURCES.dataVolumes, name }, removal);
  await waitUntilGone(cluster, { resource: RESOURCES.claims, name }, removal);
}

function sourceVolume(context: PhaseContext, source: NamedSource): DataVolume {
  const { name, sizeBytes: contentBytes, identity } = source;
  const from = importerSource(context, source);
  const { storageClass } = context.clusterConfig;
  const sizeBytes = askedOf({ ...from, contentBytes }, null);
  const metadata = { name, labels: sourceLabels(context.farm, identity) };
  return volumeObject(metadata, { source: from.source, sizeBytes, storageClass, atOnce: true });
}

async function snapshotOf(context: PhaseContext, name: string, identity: string): Promise<VolumeSnapshot> {
  const { cluster, clusterConfig, signal, farm } = context;
  const { snapshotClass } = clusterConfig;
  const snapshot = snapshotObject(name, { labels: sourceLabels(farm, identity), snapshotClass });
  const subjects = [{ kind: 'VolumeSnapshot', name }];
  return runStage(cluster, { reason: 'SnapshotFailed', subjects }, async () => {
    const make = () => cluster.createIfAbsent(RESOURCES.snapshots, snapshot, { signal });
    const { metadata } = await make();
    if (metadata?.deletionTimestamp) {
      const removal = {
        signal,
        deadlineMs: REMOVAL_MS,
        what: `the former snapshot of the source "${name}" to be removed`,
      };
      await waitUntilGone(cluster, { resource: RESOURCES.snapshots, name }, removal);
      await make();
    }
    return waitFor(
      cluster,
      { resource: RESOURCES.snapshots, name },
      {
        signal,
        deadlineMs: SNAPSHOT_MS,
        what: `the snapshot of the source "${name}"`,
        until: (object) => (object && isUsable(object) ? object : undefined),
      },
    );
  });
}

/** An object that is being deleted is never used, even if ready. */
function isUsable({ metadata, status }: VolumeSnapshot): boolean {
  return status?.readyToUse === true && !metadata?.deletionTimestamp;
}

function sourceLabels(farm: string, identity: string): Record<string, string> {
  return { [LABELS.farm]: farm, [LABELS.role]: 'source', [LABELS.layerKey]: keyLabel(identity) };
}

function cloneSource(
  snapshot: VolumeSnapshot,
  { name, sizeBytes, namespace }: { name: string; sizeBytes: number; namespace: string },
): Filling {
  const source = { snapshot: { name, namespace } };
  return { source, contentBytes: sizeBytes, clone: { kind: 'snapshot', restoreBytes: restoreBytes(snapshot) } };
}
