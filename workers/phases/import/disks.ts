import type { DiskPlan } from '../../../common/contracts/layers.ts';
import { parseQuantity } from '../../../common/contracts/module/quantity.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { type ObjectSet, waitForSet } from '../../../common/kubernetes/wait-for.ts';
import { type BuildScope, vmLabels } from '../../cluster/build-scope.ts';
import { runStage } from '../../cluster/evidence.ts';
import { storageClassOf } from '../../cluster/template-vm.ts';
import { type PhaseContext, PhaseFailure } from '../phase-executor.ts';
import { createVolume } from './create-volume.ts';
import { importVerdict } from './import-verdict.ts';
import type { ProgressLog } from './progress-log.ts';
import { ensureSource, type Filling, restoreBytes } from './sources.ts';

/** A volume of the build VM. */
interface WantedVolume {
  readonly name: string;
  readonly source: Filling['source'];
  readonly credentials: Filling['credentials'];
  readonly what: Filling['what'];
  readonly sizeBytes: number;
  readonly storageClass: string | null;
}

/** Makes the disks and ISOs of the VM, or adopts them, each as soon as its source is there, and waits until all are filled. */
export async function ensureDisks(context: PhaseContext, scope: BuildScope, log: ProgressLog): Promise<void> {
  const { plan, names, vm } = scope;
  const disks = plan.disks.map((disk) => diskVolume(context, { scope, disk, log }));
  const isos = plan.isos.map(async ({ url, checksum, identity }, index): Promise<WantedVolume> => {
    const request = {
      origin: { kind: 'url', url, credentials: vm.isos[index]?.credentials ?? null, checksum },
      identity,
      askedBytes: null,
      what: `ISO ${index + 1}`,
      use: 'iso',
    } as const;
    const { minimumBytes: sizeBytes, source, credentials, what } = await ensureSource(context, request, log);
    return { name: names.iso(vm.name, index), source, credentials, what, sizeBytes, storageClass: null };
  });
  const making = [...disks, ...isos].map(async (asking) => {
    const volume = await asking;
    const make = () => createVolume(context, volumeObject(context, scope, volume), volume.credentials);
    await runStage(context.cluster, { reason: 'ClusterRefused', subjects: [] }, make);
    return volume;
  });
  const wanted = await Promise.all(making);
  const subjects = wanted.flatMap(({ name }) => [
    { kind: 'DataVolume', name },
    { kind: 'PersistentVolumeClaim', name },
  ]);
  await runStage(context.cluster, { reason: 'ImportFailed', subjects }, () =>
    waitUntilFilled(context, { scope, wanted, log }),
  );
}

interface DiskRequest {
  readonly scope: BuildScope;
  readonly disk: DiskPlan;
  readonly log: ProgressLog;
}

async function diskVolume(context: PhaseContext, request: DiskRequest): Promise<WantedVolume> {
  const { scope, disk } = request;
  const { sizeBytes, storageClass } = disk;
  const name = scope.names.disk(scope.vm.name, disk.name);
  const { source, credentials, what, minimumBytes } = await fillingOf(context, request);
  return { name, source, credentials, what, sizeBytes: Math.max(sizeBytes ?? 0, minimumBytes), storageClass };
}

function fillingOf(context: PhaseContext, { scope, disk, log }: DiskRequest): Promise<Filling> | Filling {
  const { origin, sizeBytes: askedBytes } = disk;
  switch (origin.kind) {
    case 'blank':
      return { source: { blank: {} }, minimumBytes: 0 };
    case 'url':
    case 'image': {
      const { identity } = origin;
      // The plan leaves the credentials to the module.
      const credentials = scope.vm.source.kind === 'url' ? scope.vm.source.credentials : null;
      const request = { origin: { ...origin, credentials }, identity, askedBytes, what: `disk "${disk.name}"` };
      return ensureSource(context, { ...request, use: 'disk' }, log);
    }
    case 'claim':
      return existingClaim(context, { origin, askedBytes, name: scope.names.disk(scope.vm.name, disk.name) });
    case 'layer':
      return parentDisk(context, origin);
  }
}

interface ClaimRequest {
  readonly origin: Extract<DiskPlan['origin'], { kind: 'claim' }>;
  readonly askedBytes: number | null;
  /** Of the disk that it is for. */
  readonly name: string;
}

/** A claim that somebody else has made; CDI would wait for one that is missing, and for one that is too large, for ever. */
async function existingClaim(
  { cluster, signal }: PhaseContext,
  { origin, askedBytes, name }: ClaimRequest,
): Promise<Filling> {
  const namespace = origin.namespace ?? cluster.namespace;
  const source = { pvc: { name: origin.name, namespace } };
  // What was begun goes on, whatever has become of the claim.
  if (await cluster.get(RESOURCES.dataVolumes, name, { signal })) return { source, minimumBytes: 0 };
  const label = `PersistentVolumeClaim "${origin.name}" in the namespace "${namespace}"`;
  const claim = await cluster.get(RESOURCES.claims, origin.name, { signal, namespace });
  if (!claim) throw new PhaseFailure('SourceUnreachable', `There is no ${label}`);
  const heldBytes = Math.ceil(parseQuantity(claim.spec?.resources?.requests?.['storage']) ?? 0);
  if (askedBytes !== null && heldBytes > askedBytes) {
    throw new PhaseFailure('ImageTooLarge', `${label} has ${heldBytes} bytes, the disk only ${askedBytes}`);
  }
  return { source, minimumBytes: heldBytes };
}

/** The snapshot of a parent layer's disk. */
async function parentDisk(
  { claim, cluster, signal }: PhaseContext,
  origin: Extract<DiskPlan['origin'], { kind: 'layer' }>,
): Promise<Filling> {
  const record = claim.parents[origin.layerKey];
  const disk = record?.vms.find(({ vm }) => vm === origin.vm)?.disks.find(({ name }) => name === origin.disk);
  if (!record || !disk) {
    const message = `The parent layer has no disk "${origin.disk}" of VM "${origin.vm}"`;
    throw new PhaseFailure('ParentFailed', message);
  }
  const { namespace } = record;
  const snapshot = await cluster.get(RESOURCES.snapshots, disk.snapshot, { signal, namespace });
  if (!snapshot) throw new PhaseFailure('ParentFailed', `The snapshot "${disk.snapshot}" of the parent layer is gone`);
  const source = { snapshot: { name: disk.snapshot, namespace } };
  return { source, minimumBytes: Math.max(disk.sizeBytes, restoreBytes(snapshot)) };
}

function volumeObject(context: PhaseContext, scope: BuildScope, volume: WantedVolume): DataVolume {
  return {
    apiVersion: 'cdi.kubevirt.io/v1beta1',
    kind: 'DataVolume',
    metadata: {
      name: volume.name,
      labels: vmLabels(scope, 'build'),
      annotations: { 'cdi.kubevirt.io/storage.bind.immediate.requested': '' },
    },
    spec: {
      source: volume.source,
      storage: {
        resources: { requests: { storage: String(volume.sizeBytes) } },
        ...storageClassOf(volume.storageClass, context.clusterConfig.storageClass),
      },
    },
  };
}

interface FillingVolumes {
  readonly scope: BuildScope;
  readonly wanted: readonly WantedVolume[];
  readonly log: ProgressLog;
}

async function waitUntilFilled(
  { cluster, claim, signal }: PhaseContext,
  { scope, wanted, log }: FillingVolumes,
): Promise<void> {
  const isFilled = (volumes: ObjectSet<DataVolume>, { name, what }: WantedVolume) => {
    const volume = volumes.get(name);
    const verdict = volume && importVerdict(volume);
    if (verdict?.kind === 'failed') {
      const doing = what === undefined ? `Volume "${name}"` : `Importing ${what}`;
      throw new PhaseFailure(verdict.reason, `${doing}: ${verdict.message}`);
    }
    if (verdict?.kind === 'running') log.progress(`volume "${name}"`, verdict.progress);
    return verdict?.kind === 'succeeded';
  };
  await waitForSet(
    cluster,
    { resource: RESOURCES.dataVolumes, labels: vmLabels(scope, 'build') },
    {
      signal,
      deadlineMs: claim.spec.module.timeoutMs,
      what: `the disks of VM "${scope.vm.name}" to be filled`,
      until: (volumes) => (wanted.every((volume) => isFilled(volumes, volume)) ? true : undefined),
    },
  );
}
