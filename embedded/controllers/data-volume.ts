import { fieldAt, type JsonObject, type KubeObject, type ObjectKey } from '../api/objects.ts';
import { requireQuantity } from '../quantity.ts';
import { findCondition } from './conditions.ts';
import {
  type ControllerContext,
  isDeleting,
  isOwnedBy,
  keyText,
  ownerReference,
  queueFor,
  textKeyOf,
  uidOf,
} from './context.ts';
import { type DataVolumePhase, isClaimBound, writeDataVolumeStatus } from './data-volume-status.ts';
import { ImportJobs } from './import-jobs.ts';
import type { MachineRegistry } from './machine-registry.ts';
import { readySnapshot } from './snapshot-clone.ts';
import { claimFault, storageClassOf, waitsForConsumer } from './storage-classes.ts';
import { claimObject, requestedBytes } from './volume-claims.ts';
import { expandedBytes, inflatedBytes, usableBytes } from './volume-sizes.ts';

/** On a claim: the way in which CDI clones it. */
const CLONE_TYPE = 'cdi.kubevirt.io/cloneType';

/** Reconciles one DataVolume; `machines` lists the volumes in use. */
class DataVolumeController {
  readonly #context: ControllerContext;
  readonly #machines: MachineRegistry;
  readonly #imports: ImportJobs;

  constructor(context: ControllerContext, machines: MachineRegistry) {
    this.#context = context;
    this.#machines = machines;
    this.#imports = new ImportJobs(context);
  }

  async reconcile(key: ObjectKey): Promise<void> {
    const dataVolume = this.#context.store.get('DataVolume', key);
    if (!dataVolume || isDeleting(dataVolume)) return this.#imports.cancel(keyText(key));
    const phase = dataVolume.status?.['phase'];
    if (phase === 'Succeeded') return await this.#confirmBound(dataVolume);
    if (phase === 'Failed') return;
    // To a DataSource, a kind that this cluster does not have: CDI waits for one that is missing, too.
    if (dataVolume.spec?.['sourceRef']) return;
    const message = claimFault(this.#context.store, dataVolume.spec?.['storage'] as JsonObject | undefined);
    if (message !== undefined) return await this.#wait(dataVolume, { reason: 'ErrClaimNotValid', message });
    const source = (dataVolume.spec?.['source'] ?? {}) as { [kind: string]: JsonObject | undefined };
    if (source['pvc']) await this.#cloneClaim(dataVolume, source['pvc']);
    else if (source['snapshot']) await this.#cloneSnapshot(dataVolume, source['snapshot']);
    else if (source['blank']) await this.#blank(dataVolume);
    else await this.#import(dataVolume);
  }

  async #import(dataVolume: KubeObject): Promise<void> {
    const claim = await this.#ensureClaim(dataVolume, 0);
    if (!claim || (await this.#isUnplaced(dataVolume))) return;
    const volume = uidOf(claim);
    if (await this.#context.volumes.exists(volume)) return await this.#succeed(dataVolume);
    this.#imports.ensure(dataVolume, { volume, capacityBytes: usableBytes(claim) });
  }

  async #blank(dataVolume: KubeObject): Promise<void> {
    const claim = await this.#ensureClaim(dataVolume, 0);
    if (!claim || (await this.#isUnplaced(dataVolume))) return;
    await this.#context.volumes.createBlank(uidOf(claim), usableBytes(claim));
    await this.#succeed(dataVolume);
  }

  async #cloneClaim(dataVolume: KubeObject, { namespace, name }: JsonObject): Promise<void> {
    const { store, volumes } = this.#context;
    const key = { namespace: String(namespace ?? dataVolume.metadata.namespace), name: String(name) };
    const source = store.get('PersistentVolumeClaim', key);
    if (!source || isDeleting(source) || !(await volumes.exists(uidOf(source)))) {
      const message = `The source pvc ${key.name} doesn't exist`;
      return await this.#wait(dataVolume, { reason: 'CloneWithoutSource', message });
    }
    if (this.#machines.isWritten(uidOf(source))) {
      const message = `The source PVC ${key.namespace}/${key.name} is being used by a virtual machine`;
      return await this.#wait(dataVolume, { phase: 'CloneScheduled', reason: 'CloneSourceInUse', message });
    }
    // CDI looks into the source for the size of its disk.
    const sourceBytes = await volumes.virtualSize(uidOf(source));
    const claim = await this.#ensureClaim(dataVolume, inflatedBytes(sourceBytes, fieldAt(source.spec, 'volumeMode')));
    if (!claim || (await this.#isUnplaced(dataVolume))) return;
    const idle = { volume: uidOf(source), live: () => this.#machines.assertUnused(uidOf(source)) };
    await volumes.cloneVolume(uidOf(claim), idle, expandedBytes(claim));
    await this.#succeed(dataVolume);
  }

  async #cloneSnapshot(dataVolume: KubeObject, { namespace, name }: JsonObject): Promise<void> {
    const key = { namespace: String(namespace ?? dataVolume.metadata.namespace), name: String(name) };
    const invalid = (why: string) => {
      const message = `The clone doesn't meet the validation requirements: ${why}`;
      return this.#wait(dataVolume, { reason: 'CloneValidationFailed', message });
    };
    const source = this.#context.store.get('VolumeSnapshot', key);
    if (!source) {
      const message = `The source snapshot ${key.name} doesn't exist`;
      return await this.#wait(dataVolume, { reason: 'CloneWithoutSource', message });
    }
    const snapshot = readySnapshot(this.#context, key);
    if (!snapshot) {
      const error = fieldAt(source.status, 'error', 'message');
      return await invalid(error ? `snapshot in error state with msg: ${error}` : 'snapshot has no restore size');
    }
    const { restoreSizeBytes, layer } = snapshot;
    const asked = askedBytes(dataVolume);
    // Before the share of the file system is added to the request.
    if (asked !== undefined && asked < restoreSizeBytes) {
      const sizes = `${asked} < ${restoreSizeBytes}`;
      return await invalid(`target resources requests storage size is smaller than the source ${sizes}`);
    }
    const claim = await this.#ensureClaim(dataVolume, restoreSizeBytes);
    if (!claim || (await this.#isUnplaced(dataVolume))) return;
    await this.#report(dataVolume, claim, restoreSizeBytes);
    await this.#context.volumes.cloneLayer(uidOf(claim), layer, expandedBytes(claim));
    await this.#succeed(dataVolume);
  }

  /** Whether the claim waits for a machine to use it. */
  async #isUnplaced(dataVolume: KubeObject): Promise<boolean> {
    if (!waitsForConsumer(this.#context.store, dataVolume)) return false;
    await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'PendingPopulation' });
    return true;
  }

  /** The claim follows its volume: CDI binds the filled volume to it. */
  async #confirmBound(dataVolume: KubeObject): Promise<void> {
    if (findCondition(dataVolume.status, 'Bound')?.status === 'True') return;
    if (isClaimBound(this.#context.store, dataVolume)) await writeDataVolumeStatus(this.#context, dataVolume, {});
  }

  /** The claim of the same name; undefined (with a word about it) when another object has taken the name. */
  async #ensureClaim(dataVolume: KubeObject, sourceBytes: number): Promise<KubeObject | undefined> {
    const { store, events } = this.#context;
    const { name, namespace, labels, annotations } = dataVolume.metadata;
    const existing = store.get('PersistentVolumeClaim', { namespace, name });
    if (existing) {
      if (isOwnedBy(existing, dataVolume)) return existing;
      const message = `Resource "${name}" already exists and is not managed by DataVolume`;
      events.record(dataVolume, { type: 'Warning', reason: 'ErrResourceExists', message });
      const unbound = { reason: 'ErrResourceExists', message };
      await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'Pending', unbound });
      return undefined;
    }
    const asked = (dataVolume.spec?.['storage'] ?? dataVolume.spec?.['pvc'] ?? {}) as JsonObject;
    const { storageClassName, accessModes, volumeMode } = asked;
    return await store.create(
      claimObject({
        metadata: {
          name,
          ...(namespace === undefined ? {} : { namespace }),
          labels: { ...labels, app: 'containerized-data-importer' },
          ...(annotations ? { annotations: { ...annotations } } : {}),
          ownerReferences: [ownerReference(dataVolume)],
        },
        sizeBytes: claimBytes(dataVolume) ?? sourceBytes,
        spec: { storageClassName, accessModes, volumeMode },
      }),
    );
  }

  /** A clone of a snapshot is CDI's quick way; one that grows is expanded, or copied where its class cannot do that. */
  async #report(dataVolume: KubeObject, claim: KubeObject, restoreSizeBytes: number): Promise<void> {
    const { store } = this.#context;
    const grows = requestedBytes(claim) > restoreSizeBytes;
    const expands = storageClassOf(store, claim.spec)?.['allowVolumeExpansion'] === true;
    const isCopy = grows && !expands;
    await store.mutate('PersistentVolumeClaim', claim.metadata, ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, [CLONE_TYPE]: isCopy ? 'copy' : 'snapshot' };
    });
    const phase = isCopy ? 'CloneInProgress' : grows ? 'PrepClaimInProgress' : 'CloneFromSnapshotSourceInProgress';
    const running = isCopy
      ? ({ status: 'True', reason: 'Pod is running', message: '' } as const)
      : ({ status: 'True', reason: 'Populator is running', message: '' } as const);
    await writeDataVolumeStatus(this.#context, dataVolume, { phase, running });
  }

  async #succeed(dataVolume: KubeObject): Promise<void> {
    const running = { status: 'False', reason: 'Completed', message: 'The data has been written' } as const;
    await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'Succeeded', progress: 1, running });
    const message = `Successfully populated PVC ${dataVolume.metadata.name}`;
    this.#context.events.record(dataVolume, { type: 'Normal', reason: 'Succeeded', message });
  }

  /** For something that is to come or to change, which is looked at then. */
  async #wait(dataVolume: KubeObject, { phase, reason, message }: Waiting): Promise<void> {
    const unbound = { reason, message };
    const isNew = findCondition(dataVolume.status, 'Bound')?.message !== message;
    await writeDataVolumeStatus(this.#context, dataVolume, { ...(phase ? { phase } : {}), unbound });
    if (isNew) this.#context.events.record(dataVolume, { type: 'Warning', reason, message });
  }
}

interface Waiting {
  readonly phase?: DataVolumePhase;
  readonly reason: string;
  readonly message: string;
}

/** Requested size of a DataVolume; undefined when its source decides. */
function askedBytes({ spec }: KubeObject): number | undefined {
  const request = fieldAt(spec?.['storage'] ?? spec?.['pvc'], 'resources', 'requests', 'storage');
  return request === undefined ? undefined : Math.ceil(requireQuantity(request));
}

/** Requested size of its claim: a `pvc` is used unchanged. */
function claimBytes(dataVolume: KubeObject): number | undefined {
  const asked = askedBytes(dataVolume);
  const storage = dataVolume.spec?.['storage'];
  return asked === undefined || storage === undefined ? asked : inflatedBytes(asked, fieldAt(storage, 'volumeMode'));
}

/**
 * DataVolumes (CDI): the claim of the same name, and its content. Clones that wait for their source are looked at
 * again whenever a claim, a snapshot or a machine changes.
 */
export function startDataVolumeController(context: ControllerContext, machines: MachineRegistry): void {
  const { store, signal } = context;
  const controller = new DataVolumeController(context, machines);
  const queue = queueFor(context, 'DataVolume', (key) => controller.reconcile(key));
  const wakeWaiting = () => {
    for (const dataVolume of store.list('DataVolume')) {
      if (findCondition(dataVolume.status, 'Bound')?.status === 'False') queue.add(textKeyOf(dataVolume));
    }
  };
  const wakeOwner = (claim: KubeObject) => {
    const owner = claim.metadata.ownerReferences?.find(({ kind }) => kind === 'DataVolume');
    if (owner) queue.add(keyText({ namespace: claim.metadata.namespace, name: owner.name }));
  };
  store.subscribe(['PersistentVolumeClaim'], ({ object }) => wakeOwner(object), signal);
  machines.onRelease(wakeWaiting);
  const wakers = ['PersistentVolumeClaim', 'VolumeSnapshot', 'DataVolume', 'StorageClass', 'VirtualMachineInstance'];
  store.subscribe(wakers, wakeWaiting, signal);
}
