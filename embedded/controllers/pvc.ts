import { fieldAt, type KubeObject, type ObjectKey } from '../api/objects.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  ownerOfKind,
  queueFor,
  removeFinalizers,
  textKeyOf,
  uidOf,
} from './context.ts';
import type { MachineRegistry } from './machine-registry.ts';
import { cloneFromSnapshot } from './snapshot-clone.ts';
import { isProvisioned, storageClassOf } from './storage-classes.ts';
import { collectLayers, POPULATED_BY, storageDriver } from './volume-claims.ts';
import { diskBytes, expandedBytes } from './volume-sizes.ts';

const PROTECTION = 'kubernetes.io/pvc-protection';

/**
 * PersistentVolumeClaims: binds each to a volume at once (as an immediate class does) or, that of a DataVolume, when it is filled;
 * fills those that no other controller fills, and removes the files when the claim goes, but not while a machine or a pending snapshot uses them.
 */
export function startClaimController(context: ControllerContext, machines: MachineRegistry): void {
  const queue = queueFor(context, 'PersistentVolumeClaim', (key) => reconcile(context, machines, key));
  const wakeDeleting = () => {
    for (const claim of context.store.list('PersistentVolumeClaim')) if (isDeleting(claim)) queue.add(textKeyOf(claim));
  };
  machines.onRelease(wakeDeleting);
  context.store.subscribe(['VolumeSnapshot'], wakeDeleting, context.signal);
  const wakePending = () => {
    for (const claim of context.store.list('PersistentVolumeClaim')) {
      if (claim.status?.['phase'] !== 'Bound') queue.add(textKeyOf(claim));
    }
  };
  context.store.subscribe(['StorageClass'], wakePending, context.signal);
  const wakeFilled = ({ object }: { readonly object: KubeObject }) => {
    if (object.status?.['phase'] === 'Succeeded') queue.add(textKeyOf(object));
  };
  context.store.subscribe(['DataVolume'], wakeFilled, context.signal);
}

async function reconcile(context: ControllerContext, machines: MachineRegistry, key: ObjectKey): Promise<void> {
  const { store, volumes } = context;
  const claim = store.get('PersistentVolumeClaim', key);
  if (!claim) return;
  const uid = uidOf(claim);
  if (isDeleting(claim)) {
    if (machines.isInUse(uid) || isBeingSnapshot(context, claim)) return;
    await volumes.remove(uid);
    await collectLayers(context);
    await removeVolumeObject(context, claim);
    await removeFinalizers(store, claim, [PROTECTION]);
    return;
  }
  await ensureFinalizer(store, claim, PROTECTION);
  if (!isProvisioned(store, storageClassOf(store, claim.spec))) return reportUnprovisioned(context, claim);
  if (ownerOfKind(claim, 'DataVolume')) {
    if (!(await volumes.exists(uid))) return;
  } else await populate(context, claim);
  await bind(context, claim);
}

/** It stays Pending: a missing class may be created, and other classes have other provisioners. */
function reportUnprovisioned({ store, events }: ControllerContext, claim: KubeObject): void {
  if (storageClassOf(store, claim.spec)) return;
  const name = String(fieldAt(claim.spec, 'storageClassName'));
  const message = `storageclass.storage.k8s.io "${name}" not found`;
  events.record(claim, { type: 'Warning', reason: 'ProvisioningFailed', message });
}

/** A snapshot that has not been cut yet still needs the claim. */
function isBeingSnapshot({ store }: ControllerContext, claim: KubeObject): boolean {
  return store
    .list('VolumeSnapshot', { namespace: claim.metadata.namespace })
    .some(
      (snapshot) =>
        fieldAt(snapshot.spec, 'source', 'persistentVolumeClaimName') === claim.metadata.name &&
        fieldAt(snapshot.status, 'readyToUse') !== true &&
        fieldAt(snapshot.status, 'boundVolumeSnapshotContentName') !== undefined &&
        !isDeleting(snapshot),
    );
}

async function populate(context: ControllerContext, claim: KubeObject): Promise<void> {
  if (claim.metadata.annotations?.[POPULATED_BY] !== undefined) return;
  const source = fieldAt(claim.spec, 'dataSourceRef') ?? fieldAt(claim.spec, 'dataSource');
  const volume = uidOf(claim);
  if (await context.volumes.exists(volume)) return;
  if (fieldAt(source, 'kind') === 'VolumeSnapshot') {
    const name = String(fieldAt(source, 'name'));
    const target = { volume, sizeBytes: expandedBytes(claim) };
    await cloneFromSnapshot(context, { namespace: claim.metadata.namespace, name }, target);
    return;
  }
  await context.volumes.createBlank(volume, diskBytes(claim));
}

function volumeName(claim: KubeObject): string {
  return `pvc-${uidOf(claim)}`;
}

async function bind({ store }: ControllerContext, claim: KubeObject): Promise<void> {
  if (claim.status?.['phase'] === 'Bound') return;
  const name = volumeName(claim);
  const { resources, accessModes } = claim.spec ?? {};
  const capacity = { storage: fieldAt(resources, 'requests', 'storage') };
  if (!store.get('PersistentVolume', { name })) {
    const { uid, namespace, name: claimName } = claim.metadata;
    await store.create({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        capacity,
        accessModes,
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name: claimName, uid },
        csi: { driver: storageDriver(store), volumeHandle: uid },
        persistentVolumeReclaimPolicy: 'Delete',
        storageClassName: fieldAt(claim.spec, 'storageClassName'),
        volumeMode: 'Filesystem',
      },
      status: { phase: 'Bound' },
    });
  }
  await store.mutate('PersistentVolumeClaim', claim.metadata, (draft) => {
    draft.spec = { ...draft.spec, volumeName: name };
    draft.status = { ...draft.status, phase: 'Bound', accessModes, capacity };
  });
}

async function removeVolumeObject({ store }: ControllerContext, claim: KubeObject): Promise<void> {
  const name = volumeName(claim);
  if (store.get('PersistentVolume', { name })) await store.delete('PersistentVolume', { name });
}
