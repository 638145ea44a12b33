import type { ClusterConfig } from '../../config/schema.ts';
import type { Finding } from '../../contracts/findings.ts';
import type { KubernetesObject, StorageClass, VolumeSnapshotClass } from '../objects.ts';
import type { ClusterFacts, Read } from './cluster-facts.ts';

type StorageConfig = Pick<ClusterConfig, 'storageClass' | 'snapshotClass'>;

/** CDI prefers the first. */
const DEFAULT_CLASS = [
  'storageclass.kubevirt.io/is-default-virt-class',
  'storageclass.kubernetes.io/is-default-class',
] as const;
const DEFAULT_SNAPSHOT_CLASS = 'snapshot.storage.kubernetes.io/is-default-class';

/** Whether volumes can be made, and frozen as layers. */
export function judgeStorage(facts: ClusterFacts, config: StorageConfig): Finding[] {
  const { storageClasses } = facts;
  if (storageClasses === 'unreadable') return [unreadable('Storage classes', 'storageclasses')];
  const chosen = chooseStorageClass(storageClasses.known, config);
  if ('what' in chosen) return [chosen];
  return [
    ...judgeGrowth(chosen),
    ...judgeProfile(facts.storageProfiles, chosen.metadata?.name ?? ''),
    ...judgeSnapshotClasses(facts.snapshotClasses, chosen, config),
  ];
}

function chooseStorageClass(classes: readonly StorageClass[], { storageClass }: StorageConfig): StorageClass | Finding {
  if (storageClass !== undefined) {
    return (
      classes.find((found) => found.metadata?.name === storageClass) ?? {
        what: `The storage class "${storageClass}" does not exist.`,
        severity: 'error',
        howToFix: `Make it, or name one of ${namesOf(classes)} as clusters[].storageClass.`,
      }
    );
  }
  const [byDefault] = DEFAULT_CLASS.flatMap((annotation) => classes.filter((found) => isMarked(found, annotation)));
  return (
    byDefault ?? {
      what: 'No storage class is the default, and none is configured.',
      severity: 'error',
      howToFix: `Name one of ${namesOf(classes)} as clusters[].storageClass, or mark it as the default.`,
    }
  );
}

function judgeProfile(profiles: ClusterFacts['storageProfiles'], storageClass: string): Finding[] {
  if (profiles === 'unreadable') return [unreadable('Storage profiles', 'storageprofiles')];
  const profile = profiles.known.find(({ metadata }) => metadata?.name === storageClass);
  if ((profile?.status?.claimPropertySets ?? []).length > 0) return [];
  return [
    {
      what: `CDI does not know which access modes the storage class "${storageClass}" has.`,
      severity: 'error',
      howToFix: `Set spec.claimPropertySets of the StorageProfile "${storageClass}".`,
    },
  ];
}

/** CDI copies a volume that is to grow where the class cannot grow one; that a resizer runs shows only when it does not. */
function judgeGrowth({ metadata, allowVolumeExpansion }: StorageClass): Finding[] {
  if (allowVolumeExpansion === true) return [];
  return [
    {
      what: `Volumes of the storage class "${metadata?.name}" cannot be expanded: a disk that is larger than its parent's is copied over the network, which takes minutes instead of seconds.`,
      severity: 'warning',
      howToFix:
        'Set allowVolumeExpansion: true in the class where its driver has a resizer, or give disks the size of their parent.',
    },
  ];
}

function judgeSnapshotClasses(
  classes: Read<readonly VolumeSnapshotClass[]>,
  { provisioner = '' }: StorageClass,
  { snapshotClass }: StorageConfig,
): Finding[] {
  if (classes === 'unreadable') return [unreadable('Snapshot classes', 'volumesnapshotclasses')];
  const ofDriver = classes.known.filter(({ driver }) => driver === provisioner);
  const usable = ofDriver.filter((found) =>
    snapshotClass === undefined ? isMarked(found, DEFAULT_SNAPSHOT_CLASS) : found.metadata?.name === snapshotClass,
  );
  if (usable.length > 1) {
    const what = `The driver "${provisioner}" has ${usable.length} default snapshot classes: no snapshot can be made.`;
    const howToFix = `Remove the annotation ${DEFAULT_SNAPSHOT_CLASS} from all but one of ${namesOf(usable)}, or name one as clusters[].snapshotClass.`;
    return [{ what, severity: 'error', howToFix }];
  }
  const [chosen] = usable;
  if (chosen) return judgeRetention(chosen);
  if (ofDriver.length === 0) {
    const what = `The driver "${provisioner}" has no snapshot class: layers cannot be captured.`;
    return [{ what, severity: 'error', howToFix: 'Make a VolumeSnapshotClass for it, or use other storage.' }];
  }
  const what =
    snapshotClass === undefined
      ? `No snapshot class of the driver "${provisioner}" is its default, and none is configured.`
      : `The driver "${provisioner}" has no snapshot class "${snapshotClass}".`;
  return [{ what, severity: 'error', howToFix: `Name one of ${namesOf(ofDriver)} as clusters[].snapshotClass.` }];
}

function judgeRetention({ metadata, deletionPolicy }: VolumeSnapshotClass): Finding[] {
  if (deletionPolicy !== 'Retain') return [];
  return [
    {
      what: `The snapshot class "${metadata?.name}" retains what is deleted: removed layers free no storage.`,
      severity: 'warning',
      howToFix: 'Use a snapshot class with deletionPolicy: Delete.',
    },
  ];
}

function unreadable(what: string, plural: string): Finding {
  return {
    what: `${what} may not be read, so storage was not judged.`,
    severity: 'warning',
    howToFix: `Grant the scheduler the right to list ${plural}.`,
  };
}

function isMarked({ metadata }: KubernetesObject, annotation: string): boolean {
  return metadata?.annotations?.[annotation] === 'true';
}

function namesOf(objects: readonly KubernetesObject[]): string {
  const names = objects.map(({ metadata }) => `"${metadata?.name}"`);
  return names.length === 0 ? 'those that the cluster is yet to have' : names.join(', ');
}
