import type { DiskPlan, LayerDisk, LayerVm } from '../../../common/contracts/layers.ts';
import { ANNOTATIONS, LABELS } from '../../../common/contracts/object-keys.ts';
import type { PersistentVolumeClaim } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { snapshotObject } from '../../../common/kubernetes/volume-objects.ts';
import { waitFor } from '../../../common/kubernetes/wait-for.ts';
import { type BuildScope, keyLabel, vmLabels } from '../../cluster/build-scope.ts';
import { guestBytes } from '../../cluster/volume-size.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { lastEvents, runStage } from '../../context/stage.ts';
import { templateVm } from '../../machines/template-vm.ts';
import { snapshotSizes } from './snapshot-sizes.ts';

const SNAPSHOT_MS = 900_000;

/** Snapshots every disk of the VM, or adopts the snapshots, and waits until all can be cloned from. */
export async function captureDisks(context: PhaseContext, scope: BuildScope): Promise<LayerVm> {
  const { plan, names, vm } = scope;
  await Promise.all(plan.disks.map((disk) => requestSnapshot(context, scope, disk)));
  const disks = await Promise.all(plan.disks.map((disk) => readySnapshot(context, scope, disk)));
  return {
    vm: vm.name,
    template: names.template(vm.name),
    disks,
    firmware: vm.firmware.kind,
    nicModels: plan.templateNics.map(({ model }) => model),
  };
}

/** Creates the halted template VM, unless it exists. Returns its specification as the cluster completed it. */
export async function ensureTemplate(
  context: PhaseContext,
  scope: BuildScope,
  { disks }: LayerVm,
): Promise<Pick<LayerVm, 'architecture'>> {
  const { cluster, clusterConfig, signal } = context;
  const template = templateVm(scope, disks, clusterConfig);
  const { spec } = await runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, () =>
    cluster.createIfAbsent(RESOURCES.machines, template, { signal }),
  );
  const architecture = spec.template.spec?.architecture;
  return architecture === undefined ? {} : { architecture };
}

async function requestSnapshot(context: PhaseContext, scope: BuildScope, { name }: DiskPlan): Promise<void> {
  const { cluster, clusterConfig, signal } = context;
  const { snapshotClass } = clusterConfig;
  const volume = scope.names.disk(scope.vm.name, name);
  const labels = { ...vmLabels(scope, 'layer'), [LABELS.layerKey]: keyLabel(scope.spec.layerKey) };
  const snapshot = snapshotObject(volume, { labels, snapshotClass });
  await runStage(cluster, { reason: 'SnapshotFailed', subjects: [] }, () =>
    cluster.createIfAbsent(RESOURCES.snapshots, snapshot, { signal }),
  );
}

async function readySnapshot(context: PhaseContext, scope: BuildScope, disk: DiskPlan): Promise<LayerDisk> {
  const { cluster, signal } = context;
  const name = scope.names.disk(scope.vm.name, disk.name);
  const asking = cluster.get(RESOURCES.claims, name, { signal });
  asking.catch(() => undefined);
  let lastError: string | undefined;
  const subjects = [{ kind: 'VolumeSnapshot', name }];
  const snapshot = await runStage(cluster, { reason: 'SnapshotFailed', subjects }, () =>
    waitFor(
      cluster,
      { resource: RESOURCES.snapshots, name },
      {
        signal,
        deadlineMs: SNAPSHOT_MS,
        what: `the snapshot of disk "${disk.name}"`,
        until: (object) => {
          // The driver repeats by itself: its error is a word for the deadline, not an end.
          lastError = object?.status?.error?.message ?? lastError;
          return object?.status?.readyToUse ? object : undefined;
        },
      },
    ),
  ).catch(async (error) => {
    if (!(error instanceof PhaseFailure) || !lastError) throw error;
    const evidence = { events: await lastEvents(cluster, subjects) };
    throw new PhaseFailure('SnapshotFailed', `Disk "${disk.name}": ${lastError}`, { cause: error, evidence });
  });
  const sizeBytes = diskBytes(await asking, disk);
  return { name: disk.name, snapshot: name, sizeBytes, ...snapshotSizes(snapshot), bus: disk.bus };
}

/** The requested size of the disk, not of its claim; absent on volumes of former versions. */
function diskBytes(claim: PersistentVolumeClaim | undefined, { sizeBytes }: DiskPlan): number {
  const noted = Number(claim?.metadata?.annotations?.[ANNOTATIONS.diskBytes] ?? 0);
  return noted || (sizeBytes ?? 0) || (claim ? guestBytes(claim) : 0);
}
