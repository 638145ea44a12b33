import { STORAGE_CLASS } from '../api/bootstrap.ts';
import { fieldAt, type JsonObject, type KubeObject } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import type { Vmi } from './kubevirt-types.ts';
import { storageDriver } from './volume-claims.ts';

/** The storage class that a claim or the `storage` of a DataVolume names, or the default one; undefined when there is none. */
export function storageClassOf(store: Store, spec: JsonObject | undefined): KubeObject | undefined {
  return store.get('StorageClass', { name: String(spec?.['storageClassName'] ?? STORAGE_CLASS) });
}

/** Whether volumes of the class are made here. */
export function isProvisioned(store: Store, storageClass: KubeObject | undefined): boolean {
  return storageClass !== undefined && storageClass['provisioner'] === storageDriver(store);
}

/**
 * Why CDI can make no claim of the `storage` of a DataVolume; undefined when it can. Without access modes it needs a class whose
 * driver it knows.
 */
export function claimFault(store: Store, storage: JsonObject | undefined): string | undefined {
  if (storage === undefined || fieldAt(storage, 'accessModes') !== undefined) return undefined;
  const storageClass = storageClassOf(store, storage);
  if (!storageClass) return 'PVC spec is missing accessMode and no storageClass to choose profile';
  if (isProvisioned(store, storageClass)) return undefined;
  return `no accessMode specified in StorageProfile ${storageClass.metadata.name}`;
}

/** On a DataVolume: it is filled before its first use. */
const IMMEDIATE = 'cdi.kubevirt.io/storage.bind.immediate.requested';

/** Whether a DataVolume is filled only when a machine with it is started, because its class places volumes with their users. */
export function waitsForConsumer(store: Store, { spec, metadata }: KubeObject): boolean {
  const claim = (spec?.['storage'] ?? spec?.['pvc']) as JsonObject | undefined;
  if (storageClassOf(store, claim)?.['volumeBindingMode'] !== 'WaitForFirstConsumer') return false;
  if (metadata.annotations?.[IMMEDIATE] !== undefined) return false;
  const { namespace } = metadata;
  return !store.list<Vmi>('VirtualMachineInstance', { namespace }).some((vmi) => {
    return vmi.spec.volumes?.some(({ dataVolume }) => dataVolume?.name === metadata.name);
  });
}
