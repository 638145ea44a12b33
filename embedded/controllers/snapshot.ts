import { SNAPSHOT_SIZES } from '../../common/contracts/object-keys.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { STORAGE_CLASS } from '../api/bootstrap.ts';
import { fieldAt, type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  keyText,
  queueFor,
  removeFinalizers,
  textKeyOf,
  uidOf,
} from './context.ts';
import type { MachineRegistry } from './machine-registry.ts';
import { collectLayers, requestedBytes, storageDriver } from './volume-claims.ts';

const AS_SOURCE = 'snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection';
const BOUND = 'snapshot.storage.kubernetes.io/volumesnapshot-bound-protection';
const CONTENT_BOUND = 'snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection';

/**
 * VolumeSnapshots (external-snapshotter): the content object is written before the files are touched, the layer bears
 * the snapshot's uid, and cutting it may be repeated; so a crash at any point is made good by looking again.
 */
export function startSnapshotController(context: ControllerContext, machines: MachineRegistry): void {
  const { store, signal } = context;
  const queue = queueFor(context, 'VolumeSnapshot', (key) => reconcile(context, machines, key));
  const wakeWaiting = () => {
    for (const snapshot of store.list('VolumeSnapshot')) {
      if (fieldAt(snapshot.status, 'readyToUse') !== true) queue.add(textKeyOf(snapshot));
    }
  };
  machines.onRelease(wakeWaiting);
  store.subscribe(['PersistentVolumeClaim', 'DataVolume', 'VirtualMachineInstance'], wakeWaiting, signal);
  queueFor(context, 'VolumeSnapshotContent', (key) => reconcileContent(context, key));
}

async function reconcile(context: ControllerContext, machines: MachineRegistry, key: ObjectKey): Promise<void> {
  const { store } = context;
  const snapshot = store.get('VolumeSnapshot', key);
  if (!snapshot) return;
  if (isDeleting(snapshot)) return await remove(context, snapshot);
  if (fieldAt(snapshot.status, 'readyToUse') === true) return;
  const claimName = fieldAt(snapshot.spec, 'source', 'persistentVolumeClaimName');
  if (typeof claimName !== 'string') return await bindExisting(context, snapshot);
  const claim = store.get('PersistentVolumeClaim', { namespace: key.namespace, name: claimName });
  if (!claim) return await reportError(context, snapshot, `failed to get PVC: "${claimName}" not found`);
  if (isDeleting(claim)) return await reportError(context, snapshot, `PVC "${claimName}" is being deleted`);
  if (!(await context.volumes.exists(uidOf(claim)))) {
    return await reportError(context, snapshot, `PVC "${claimName}" holds no data yet`);
  }
  await cut(context, machines, { snapshot, claim });
}

async function cut(
  context: ControllerContext,
  machines: MachineRegistry,
  { snapshot, claim }: { readonly snapshot: KubeObject; readonly claim: KubeObject },
): Promise<void> {
  const { store, clock, volumes, events } = context;
  const key = keyText(snapshot.metadata);
  const note = (reason: string, what: string) =>
    events.record(snapshot, { type: 'Normal', reason, message: `Snapshot ${key} ${what}` });
  await ensureFinalizer(store, snapshot, AS_SOURCE, BOUND);
  const layer = uidOf(snapshot);
  const name = `snapcontent-${layer}`;
  if (!store.get('VolumeSnapshotContent', { name })) {
    await store.create(contentFor({ snapshot, claim, name, driver: storageDriver(store) }));
    const message = `Waiting for a snapshot ${key} to be created by the CSI driver.`;
    events.record(snapshot, { type: 'Normal', reason: 'CreatingSnapshot', message });
  }
  await store.updateStatus('VolumeSnapshot', snapshot.metadata, (status) => {
    status['boundVolumeSnapshotContentName'] = name;
    status['readyToUse'] ??= false;
  });
  await volumes.freeze(uidOf(claim), layer, () => machines.switchFor(uidOf(claim), layer));
  const restoreSize = requestedBytes(claim);
  const now = clock.now();
  await Promise.all([
    noteSizes(context, snapshot, layer),
    store.updateStatus('VolumeSnapshotContent', { name }, (status) => {
      Object.assign(status, { snapshotHandle: layer, creationTime: now * 1_000_000, readyToUse: true, restoreSize });
    }),
  ]);
  await store.updateStatus('VolumeSnapshot', snapshot.metadata, (status) => {
    delete status['error'];
    Object.assign(status, { creationTime: timestamp(now), readyToUse: true, restoreSize: String(restoreSize) });
  });
  note('SnapshotCreated', 'was successfully created by the CSI driver.');
  note('SnapshotReady', 'is ready to use.');
}

/** Before the snapshot is ready, so that clients that wait for it find them. */
async function noteSizes(context: ControllerContext, { metadata }: KubeObject, layer: string): Promise<void> {
  const { store, volumes, logger } = context;
  // A disk that was tampered with is refused when it is lent.
  const sizes = await volumes.layerSizes(layer).catch((error: unknown) => {
    logger.debug({ err: error, layer }, 'The size of a layer is not known');
    return null;
  });
  if (sizes === null) return;
  const sizeNotes = { [SNAPSHOT_SIZES.own]: `${sizes.ownBytes}`, [SNAPSHOT_SIZES.used]: `${sizes.usedBytes}` };
  await store.mutate('VolumeSnapshot', metadata, (draft) => {
    draft.metadata.annotations = { ...draft.metadata.annotations, ...sizeNotes };
  });
}

interface NewContent {
  readonly snapshot: KubeObject;
  readonly claim: KubeObject;
  readonly name: string;
  readonly driver: string;
}

function contentFor({ snapshot, claim, name, driver }: NewContent): KubeObject {
  const { namespace, uid, name: snapshotName } = snapshot.metadata;
  return {
    apiVersion: 'snapshot.storage.k8s.io/v1',
    kind: 'VolumeSnapshotContent',
    metadata: { name, finalizers: [CONTENT_BOUND] },
    spec: {
      deletionPolicy: 'Delete',
      driver,
      source: { volumeHandle: uidOf(claim) },
      sourceVolumeMode: 'Filesystem',
      volumeSnapshotClassName: fieldAt(snapshot.spec, 'volumeSnapshotClassName') ?? STORAGE_CLASS,
      volumeSnapshotRef: {
        apiVersion: 'snapshot.storage.k8s.io/v1',
        kind: 'VolumeSnapshot',
        name: snapshotName,
        namespace,
        uid,
      },
    },
  };
}

/** A snapshot made from a content that is there already: another name for the same layer. */
async function bindExisting(context: ControllerContext, snapshot: KubeObject): Promise<void> {
  const { store, clock } = context;
  const name = String(fieldAt(snapshot.spec, 'source', 'volumeSnapshotContentName'));
  const content = store.get('VolumeSnapshotContent', { name });
  if (fieldAt(content?.status, 'readyToUse') !== true) {
    return await reportError(context, snapshot, `failed to get content "${name}"`);
  }
  await ensureFinalizer(store, snapshot, BOUND);
  await store.updateStatus('VolumeSnapshot', snapshot.metadata, (status) => {
    delete status['error'];
    const restoreSize = String(fieldAt(content?.status, 'restoreSize') ?? 0);
    const creationTime = timestamp(clock.now());
    Object.assign(status, { boundVolumeSnapshotContentName: name, creationTime, readyToUse: true, restoreSize });
  });
}

/** Not final: the missing object may appear, and every change of a claim triggers another look. */
async function reportError(context: ControllerContext, snapshot: KubeObject, message: string): Promise<void> {
  const { store, clock, events } = context;
  if (fieldAt(snapshot.status, 'error', 'message') === message) return;
  await store.updateStatus('VolumeSnapshot', snapshot.metadata, (status) => {
    status['error'] = { message, time: timestamp(clock.now()) };
    status['readyToUse'] = false;
  });
  events.record(snapshot, { type: 'Warning', reason: 'SnapshotContentCreationFailed', message });
}

async function remove(context: ControllerContext, snapshot: KubeObject): Promise<void> {
  const { store, logger } = context;
  const name = fieldAt(snapshot.status, 'boundVolumeSnapshotContentName');
  const content = typeof name === 'string' ? store.get('VolumeSnapshotContent', { name }) : undefined;
  if (content && fieldAt(content.spec, 'deletionPolicy') !== 'Retain') {
    await store
      .delete('VolumeSnapshotContent', { name: content.metadata.name })
      .catch((error: unknown) => logger.debug({ reason: errorMessage(error) }, 'A snapshot content had gone before'));
  }
  await removeFinalizers(store, snapshot, [AS_SOURCE, BOUND]);
}

async function reconcileContent(context: ControllerContext, key: ObjectKey): Promise<void> {
  const content = context.store.get('VolumeSnapshotContent', key);
  if (!content) return await collectLayers(context);
  if (isDeleting(content)) await removeFinalizers(context.store, content, [CONTENT_BOUND]);
}
