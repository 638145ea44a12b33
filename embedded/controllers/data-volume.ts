import { fieldAt, type JsonObject, type KubeObject, type ObjectKey } from '../api/objects.ts';
import { parseStorageBytes } from '../quantity.ts';
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
import { writeDataVolumeStatus } from './data-volume-status.ts';
import { ImportJobs } from './import-jobs.ts';
import type { MachineRegistry } from './machine-registry.ts';
import { readySnapshot } from './snapshot-clone.ts';
import { claimObject, requestedBytes } from './volume-claims.ts';

/** Reconciles one DataVolume; `machines` says which volumes are in use. */
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
    if (phase === 'Succeeded' || phase === 'Failed') return;
    const source = (dataVolume.spec?.['source'] ?? {}) as { [kind: string]: JsonObject | undefined };
    if (source['pvc']) await this.#cloneClaim(dataVolume, source['pvc']);
    else if (source['snapshot']) await this.#cloneSnapshot(dataVolume, source['snapshot']);
    else if (source['blank']) await this.#blank(dataVolume);
    else await this.#import(dataVolume);
  }

  async #import(dataVolume: KubeObject): Promise<void> {
    const claim = await this.#ensureClaim(dataVolume, 0);
    if (!claim) return;
    const volume = uidOf(claim);
    if (await this.#context.volumes.exists(volume)) return await this.#succeed(dataVolume);
    this.#imports.ensure(dataVolume, { volume, capacityBytes: requestedBytes(claim) });
  }

  async #blank(dataVolume: KubeObject): Promise<void> {
    const claim = await this.#ensureClaim(dataVolume, 0);
    if (!claim) return;
    await this.#context.volumes.createBlank(uidOf(claim), requestedBytes(claim));
    await this.#succeed(dataVolume);
  }

  async #cloneClaim(dataVolume: KubeObject, { namespace, name }: JsonObject): Promise<void> {
    const { store, volumes } = this.#context;
    const key = { namespace: String(namespace ?? dataVolume.metadata.namespace), name: String(name) };
    const source = store.get('PersistentVolumeClaim', key);
    if (!source || isDeleting(source) || !(await volumes.exists(uidOf(source)))) {
      return await this.#waitForSource(dataVolume, `The source pvc ${key.name} doesn't exist`);
    }
    if (this.#machines.isWritten(uidOf(source))) {
      const message = `The source PVC ${key.namespace}/${key.name} is being used by a virtual machine`;
      return await this.#waitForSource(dataVolume, message, 'CloneSourceInUse');
    }
    const sourceBytes = await volumes.virtualSize(uidOf(source));
    const claim = await this.#ensureClaim(dataVolume, sourceBytes);
    if (!claim) return;
    const idle = { volume: uidOf(source), live: () => this.#machines.assertUnused(uidOf(source)) };
    await volumes.cloneVolume(uidOf(claim), idle, requestedBytes(claim));
    await this.#succeed(dataVolume);
  }

  async #cloneSnapshot(dataVolume: KubeObject, { namespace, name }: JsonObject): Promise<void> {
    const key = { namespace: String(namespace ?? dataVolume.metadata.namespace), name: String(name) };
    const snapshot = readySnapshot(this.#context, key);
    if (!snapshot) {
      return await this.#waitForSource(dataVolume, `The source snapshot ${key.name} doesn't exist or is not ready`);
    }
    const claim = await this.#ensureClaim(dataVolume, snapshot.restoreSizeBytes);
    if (!claim) return;
    if (requestedBytes(claim) < snapshot.restoreSizeBytes) {
      const message = `The clone doesn't meet the validation requirements: target is smaller than ${snapshot.restoreSizeBytes}`;
      return await this.#waitForSource(dataVolume, message, 'IncompatiblePVC');
    }
    await this.#context.volumes.cloneLayer(uidOf(claim), snapshot.layer, requestedBytes(claim));
    await this.#succeed(dataVolume);
  }

  /** The claim of the same name; undefined (with a word about it) when somebody else has taken the name. */
  async #ensureClaim(dataVolume: KubeObject, sourceBytes: number): Promise<KubeObject | undefined> {
    const { store, events } = this.#context;
    const { name, namespace, labels, annotations } = dataVolume.metadata;
    const existing = store.get('PersistentVolumeClaim', { namespace, name });
    if (existing) {
      if (isOwnedBy(existing, dataVolume)) return existing;
      const message = `Resource "${name}" already exists and is not managed by DataVolume`;
      events.record(dataVolume, { type: 'Warning', reason: 'ErrResourceExists', message });
      const running = { status: 'False', reason: 'ErrResourceExists', message } as const;
      await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'Pending', running, isBound: false });
      return undefined;
    }
    const asked = (dataVolume.spec?.['storage'] ?? dataVolume.spec?.['pvc'] ?? {}) as JsonObject;
    const request = fieldAt(asked, 'resources', 'requests', 'storage');
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
        sizeBytes: request === undefined ? sourceBytes : parseStorageBytes(request),
        spec: { storageClassName, accessModes, volumeMode },
      }),
    );
  }

  async #succeed(dataVolume: KubeObject): Promise<void> {
    const running = { status: 'False', reason: 'Completed', message: 'The data has been written' } as const;
    await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'Succeeded', progress: 1, running, isBound: true });
    const message = `Successfully populated PVC ${dataVolume.metadata.name}`;
    this.#context.events.record(dataVolume, { type: 'Normal', reason: 'Succeeded', message });
  }

  async #waitForSource(dataVolume: KubeObject, message: string, reason = 'CloneWithoutSource'): Promise<void> {
    const before = fieldAt(dataVolume.status, 'phase');
    const running = { status: 'False', reason, message } as const;
    await writeDataVolumeStatus(this.#context, dataVolume, { phase: 'CloneScheduled', running, isBound: false });
    if (before !== 'CloneScheduled') this.#context.events.record(dataVolume, { type: 'Warning', reason, message });
  }
}

/**
 * DataVolumes (CDI): the claim of the same name, and what is to be in it. Clones that wait for their source are looked at
 * again whenever a claim, a snapshot or a machine changes.
 */
export function startDataVolumeController(context: ControllerContext, machines: MachineRegistry): void {
  const { store, signal } = context;
  const controller = new DataVolumeController(context, machines);
  const queue = queueFor(context, 'DataVolume', (key) => controller.reconcile(key));
  const wakeWaiting = () => {
    for (const dataVolume of store.list('DataVolume')) {
      if (dataVolume.status?.['phase'] === 'CloneScheduled') queue.add(textKeyOf(dataVolume));
    }
  };
  const wakeOwner = (claim: KubeObject) => {
    const owner = claim.metadata.ownerReferences?.find(({ kind }) => kind === 'DataVolume');
    if (owner) queue.add(keyText({ namespace: claim.metadata.namespace, name: owner.name }));
  };
  store.subscribe(['PersistentVolumeClaim'], ({ object }) => wakeOwner(object), signal);
  machines.onRelease(wakeWaiting);
  store.subscribe(['PersistentVolumeClaim', 'VolumeSnapshot', 'DataVolume'], wakeWaiting, signal);
}
