import type { DiskPlan } from '../../../common/contracts/layers.ts';
import { ANNOTATIONS, LABELS } from '../../../common/contracts/object-keys.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { volumeObject } from '../../../common/kubernetes/volume-objects.ts';
import { type LookAgain, waitForSet, waitUntilGone } from '../../../common/kubernetes/wait-for.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import { type BuildScope, vmLabels } from '../../cluster/build-scope.ts';
import { askedOf, type Filling, guestBytes, restoreBytes } from '../../cluster/volume-size.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { runStage } from '../../context/stage.ts';
import { createVolume } from './create-volume.ts';
import { importFailure } from './import-hints.ts';
import { copyOfDisk } from './layer-copies.ts';
import type { ProgressLog } from './progress-log.ts';
import { ensureSource } from './sources.ts';
import { VolumePatience } from './volume-patience.ts';

/** A driver that has begun to read a snapshot may end without it. */
const LAST_READ_MS = 30_000;

/** A volume of the build VM. */
interface RequestedVolume {
  readonly name: string;
  readonly filling: Filling;
  /** Requested size of the disk; null: the size of its source. */
  readonly requestedBytes: number | null;
  readonly storageClass: string | null;
}

/** Makes the disks and ISOs of the VM, or adopts them, each as soon as its source is there, and waits until all are filled. */
export async function ensureDisks(context: PhaseContext, scope: BuildScope, log: ProgressLog): Promise<void> {
  const { plan, names, vm } = scope;
  const disks = plan.disks.map((disk) => diskVolume(context, { scope, disk, log }));
  const isos = plan.isos.map(async ({ url, checksum, identity }, index): Promise<RequestedVolume> => {
    const request = {
      origin: { kind: 'url', url, credentials: vm.isos[index]?.credentials ?? null, checksum },
      identity,
      askedBytes: null,
      what: `ISO ${index + 1}`,
      use: 'iso',
    } as const;
    const filling = await ensureSource(context, request, log);
    return { name: names.iso(vm.name, index), filling, requestedBytes: null, storageClass: null };
  });
  const making = [...disks, ...isos].map(async (asking) => {
    const volume = await asking;
    const make = () => createVolume(context, buildVolume(context, scope, volume), volume.filling.credentials);
    await runStage(context.cluster, { reason: 'ClusterRefused', subjects: [] }, make);
    return volume;
  });
  const requested = await Promise.all(making);
  const subjects = requested.flatMap(({ name }) => [
    { kind: 'DataVolume', name },
    { kind: 'PersistentVolumeClaim', name },
  ]);
  await runStage(context.cluster, { reason: 'ImportFailed', subjects }, () =>
    waitUntilFilled(context, { scope, requested, log }),
  );
}

interface DiskRequest {
  readonly scope: BuildScope;
  readonly disk: DiskPlan;
  readonly log: ProgressLog;
}

async function diskVolume(context: PhaseContext, request: DiskRequest): Promise<RequestedVolume> {
  const { scope, disk } = request;
  const { sizeBytes: requestedBytes, storageClass } = disk;
  const name = scope.names.disk(scope.vm.name, disk.name);
  return { name, filling: await fillingOf(context, request), requestedBytes, storageClass };
}

function fillingOf(context: PhaseContext, { scope, disk, log }: DiskRequest): Promise<Filling> | Filling {
  const { origin, sizeBytes: askedBytes } = disk;
  switch (origin.kind) {
    case 'blank':
      return { source: { blank: {} }, contentBytes: 0 };
    case 'url':
    case 'image': {
      const { identity } = origin;
      // The plan leaves the credentials to the module.
      const credentials = scope.vm.source.kind === 'url' ? scope.vm.source.credentials : null;
      const request = { origin: { ...origin, credentials }, identity, askedBytes, what: `disk "${disk.name}"` };
      const boots = scope.vm.isos.length === 0 && !scope.spec.module.imported;
      return ensureSource(context, { ...request, use: boots ? 'boot' : 'disk' }, log);
    }
    case 'claim':
      return existingClaim(context, { origin, askedBytes, name: scope.names.disk(scope.vm.name, disk.name) });
    case 'layer':
      return parentDisk(context, origin, log);
  }
}

interface ClaimRequest {
  readonly origin: Extract<DiskPlan['origin'], { kind: 'claim' }>;
  readonly askedBytes: number | null;
  /** Of the disk that it is for. */
  readonly name: string;
}

/** A claim that already exists; CDI would wait for a missing one without end. */
async function existingClaim(
  { cluster, signal }: PhaseContext,
  { origin, askedBytes, name }: ClaimRequest,
): Promise<Filling> {
  const namespace = origin.namespace ?? cluster.namespace;
  const source = { pvc: { name: origin.name, namespace } };
  const clone = { kind: 'claim' } as const;
  // An import that was begun continues, also without the claim.
  if (await cluster.get(RESOURCES.dataVolumes, name, { signal })) return { source, clone, contentBytes: 0 };
  const label = `PersistentVolumeClaim "${origin.name}" in the namespace "${namespace}"`;
  const claim = await cluster.get(RESOURCES.claims, origin.name, { signal, namespace });
  if (!claim) throw new PhaseFailure('SourceUnreachable', `${label} not found`);
  // Disks of builds under way and shared sources contain data and secrets of other modules.
  if (claim.metadata?.labels?.[LABELS.farm] !== undefined) {
    const hints = ['Start from the module itself, with `buildRef`.'];
    throw new PhaseFailure('SourceUnreachable', `${label} is a disk of a build farm, not a source`, {
      evidence: { hints },
    });
  }
  const contentBytes = guestBytes(claim);
  if (askedBytes !== null && contentBytes > askedBytes) {
    throw new PhaseFailure(
      'ImageTooLarge',
      `${label} holds a disk of ${contentBytes} bytes, the disk has only ${askedBytes}`,
    );
  }
  return { source, clone, contentBytes };
}

/** The snapshot of a parent layer's disk, or of its copy. */
async function parentDisk(
  context: PhaseContext,
  origin: Extract<DiskPlan['origin'], { kind: 'layer' }>,
  log: ProgressLog,
): Promise<Filling> {
  const { claim, cluster, signal } = context;
  const record = claim.parents[origin.layerKey];
  const disk = record?.vms.find(({ vm }) => vm === origin.vm)?.disks.find(({ name }) => name === origin.disk);
  if (!record || !disk) {
    const message = `The parent layer has no disk "${origin.disk}" of VM "${origin.vm}"`;
    throw new PhaseFailure('ParentFailed', message);
  }
  if (record.cluster !== claim.cluster) return copyOfDisk(context, { origin, record, disk }, log);
  const { namespace } = record;
  const snapshot = await cluster.get(RESOURCES.snapshots, disk.snapshot, { signal, namespace });
  if (!snapshot) throw new PhaseFailure('ParentFailed', `The snapshot "${disk.snapshot}" of the parent layer is gone`);
  const source = { snapshot: { name: disk.snapshot, namespace } };
  return { source, contentBytes: disk.sizeBytes, clone: { kind: 'snapshot', restoreBytes: restoreBytes(snapshot) } };
}

function buildVolume(context: PhaseContext, scope: BuildScope, volume: RequestedVolume): DataVolume {
  const { filling, requestedBytes } = volume;
  const diskBytes = String(Math.max(requestedBytes ?? 0, filling.contentBytes));
  const annotations = { [ANNOTATIONS.diskBytes]: diskBytes };
  return volumeObject(
    { name: volume.name, labels: vmLabels(scope, 'build'), annotations },
    {
      source: filling.source,
      sizeBytes: askedOf(filling, requestedBytes),
      storageClass: volume.storageClass ?? context.clusterConfig.storageClass,
      atOnce: isImport(filling) || scope.spec.module.imported === true,
    },
  );
}

/**
 * Where a class waits for the first consumer, clones and blank disks are placed with their machine, so that all of its disks are
 * on one node. An import may take longer than a machine may take to start: it is done at once, and the machine follows it;
 * so are all disks of what no machine is started for.
 */
function isImport({ source }: Filling): boolean {
  return source.http !== undefined || source.registry !== undefined;
}

interface FillingVolumes {
  readonly scope: BuildScope;
  readonly requested: readonly RequestedVolume[];
  readonly log: ProgressLog;
}

async function waitUntilFilled(context: PhaseContext, filling: FillingVolumes): Promise<void> {
  const over = new AbortController();
  const side = { ...context, signal: anySignal(context.signal, over.signal) };
  try {
    await Promise.race([untilFilled(side, filling), ...snapshotsOf(filling).map((name) => whenLost(side, name))]);
  } finally {
    over.abort(new Error('The volumes are filled.'));
  }
}

async function untilFilled(
  { cluster, claim, signal, clock }: PhaseContext,
  { scope, requested, log }: FillingVolumes,
): Promise<void> {
  const patience = new VolumePatience(clock);
  const isFilled = (volume: DataVolume | undefined, { name, filling }: RequestedVolume, lookAgain: LookAgain) => {
    const verdict = volume && patience.judge(volume, lookAgain);
    if (verdict?.kind === 'failed') {
      const doing = filling.what === undefined ? `Volume "${name}"` : `Importing ${filling.what}`;
      throw importFailure(verdict.reason, `${doing}: ${verdict.message}`);
    }
    if (verdict?.kind === 'running') log.progress(filling.what ?? `volume "${name}"`, verdict.progress);
    return verdict?.kind === 'succeeded' || verdict?.kind === 'unplaced';
  };
  await waitForSet(
    cluster,
    { resource: RESOURCES.dataVolumes, labels: vmLabels(scope, 'build') },
    {
      signal,
      deadlineMs: claim.spec.module.timeoutMs,
      what: `the disks of VM "${scope.vm.name}" to be filled`,
      until: (volumes, lookAgain) => {
        const filled = requested.filter((volume) => isFilled(volumes.get(volume.name), volume, lookAgain));
        return filled.length === requested.length ? true : undefined;
      },
    },
  );
}

function snapshotsOf({ requested }: FillingVolumes): readonly string[] {
  return [...new Set(requested.flatMap(({ filling }) => filling.source.snapshot?.name ?? []))];
}

/** Rejects some time after a snapshot has gone: CDI waits for it without end, unless its driver had read it before. */
async function whenLost({ cluster, claim, signal, clock }: PhaseContext, name: string): Promise<never> {
  const waiting = { signal, deadlineMs: claim.spec.module.timeoutMs, what: `the snapshot "${name}" to stay` };
  await waitUntilGone(cluster, { resource: RESOURCES.snapshots, name }, waiting);
  await clock.after(LAST_READ_MS, signal);
  throw new PhaseFailure('SourceUnreachable', `The snapshot "${name}" was deleted while disks were cloned from it`);
}
