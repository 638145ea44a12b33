import type { DiskPlan } from '../../../common/contracts/layers.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { type ObjectSet, waitForSet } from '../../../common/kubernetes/wait-for.ts';
import { type BuildScope, vmLabels } from '../../cluster/build-scope.ts';
import { runStage } from '../../cluster/evidence.ts';
import { storageClassOf } from '../../cluster/template-vm.ts';
import { type PhaseContext, PhaseFailure } from '../phase-executor.ts';
import { importVerdict } from './import-verdict.ts';
import type { ProgressLog } from './progress-log.ts';
import { type CloneSource, ensureSource, restoreBytes } from './sources.ts';

/** A volume of the build VM. */
interface WantedVolume {
  readonly name: string;
  readonly source: DataVolume['spec']['source'];
  readonly sizeBytes: number;
  readonly storageClass: string | null;
}

/** Makes the disks and ISOs of the VM, or adopts them, and waits until all are filled. */
export async function ensureDisks(context: PhaseContext, scope: BuildScope, log: ProgressLog): Promise<void> {
  const { plan, names, vm } = scope;
  const disks = plan.disks.map((disk) => diskVolume(context, { scope, disk, log }));
  const isos = plan.isos.map(async ({ url, checksum, identity }, index): Promise<WantedVolume> => {
    const what = `ISO ${index + 1}`;
    const source = await ensureSource(context, { url, checksum, identity, askedBytes: null, what }, log);
    return { name: names.iso(vm.name, index), ...cloned(source), sizeBytes: source.minimumBytes, storageClass: null };
  });
  const wanted = await Promise.all([...disks, ...isos]);
  const subjects = wanted.flatMap(({ name }) => [
    { kind: 'DataVolume', name },
    { kind: 'PersistentVolumeClaim', name },
  ]);
  await runStage(context.cluster, { reason: 'ImportFailed', subjects }, async () => {
    for (const volume of wanted) {
      const object = volumeObject(context, scope, volume);
      await context.cluster.createIfAbsent(RESOURCES.dataVolumes, object, { signal: context.signal });
    }
    await waitUntilFilled(context, scope, wanted);
  });
}

interface DiskRequest {
  readonly scope: BuildScope;
  readonly disk: DiskPlan;
  readonly log: ProgressLog;
}

async function diskVolume(context: PhaseContext, { scope, disk, log }: DiskRequest): Promise<WantedVolume> {
  const { origin, sizeBytes, storageClass } = disk;
  const name = scope.names.disk(scope.vm.name, disk.name);
  if (origin.kind === 'blank') return { name, source: { blank: {} }, sizeBytes: sizeBytes ?? 0, storageClass };
  const what = `disk "${disk.name}"`;
  const source =
    origin.kind === 'url'
      ? await ensureSource(context, { ...origin, askedBytes: sizeBytes, what }, log)
      : await parentDisk(context, origin);
  return { name, ...cloned(source), sizeBytes: Math.max(sizeBytes ?? 0, source.minimumBytes), storageClass };
}

function cloned({ snapshot, namespace }: CloneSource): Pick<WantedVolume, 'source'> {
  return { source: { snapshot: { name: snapshot, namespace } } };
}

/** The snapshot of a parent layer's disk. */
async function parentDisk(
  { claim, cluster, signal }: PhaseContext,
  origin: Extract<DiskPlan['origin'], { kind: 'layer' }>,
): Promise<CloneSource> {
  const record = claim.parents[origin.layerKey];
  const disk = record?.vms.find(({ vm }) => vm === origin.vm)?.disks.find(({ name }) => name === origin.disk);
  if (!record || !disk) {
    const message = `The parent layer has no disk "${origin.disk}" of VM "${origin.vm}"`;
    throw new PhaseFailure('ParentFailed', message);
  }
  const { namespace } = record;
  const snapshot = await cluster.get(RESOURCES.snapshots, disk.snapshot, { signal, namespace });
  if (!snapshot) throw new PhaseFailure('ParentFailed', `The snapshot "${disk.snapshot}" of the parent layer is gone`);
  return { snapshot: disk.snapshot, namespace, minimumBytes: Math.max(disk.sizeBytes, restoreBytes(snapshot)) };
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
      source: volume.source ?? {},
      storage: {
        resources: { requests: { storage: String(volume.sizeBytes) } },
        ...storageClassOf(volume.storageClass, context.clusterConfig.storageClass),
      },
    },
  };
}

async function waitUntilFilled(
  { cluster, claim, signal }: PhaseContext,
  scope: BuildScope,
  wanted: readonly WantedVolume[],
): Promise<void> {
  const isFilled = (volumes: ObjectSet<DataVolume>, name: string) => {
    const volume = volumes.get(name);
    const verdict = volume && importVerdict(volume);
    if (verdict?.kind === 'failed') throw new PhaseFailure(verdict.reason, `Volume "${name}": ${verdict.message}`);
    return verdict?.kind === 'succeeded';
  };
  await waitForSet(
    cluster,
    { resource: RESOURCES.dataVolumes, labels: vmLabels(scope, 'build') },
    {
      signal,
      deadlineMs: claim.spec.module.timeoutMs,
      what: `the disks of VM "${scope.vm.name}" to be filled`,
      until: (volumes) => (wanted.every(({ name }) => isFilled(volumes, name)) ? true : undefined),
    },
  );
}
