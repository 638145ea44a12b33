import { isDeepStrictEqual } from 'node:util';
import { fieldAt, type KubeObject } from '../objects.ts';
import type { KindAdmission } from './admission.ts';
import { Causes } from './causes.ts';

function has(value: unknown, ...path: string[]): boolean {
  return fieldAt(value, ...path) !== undefined;
}

/** Fields that must stay as they are once they are set. */
function checkFixed(
  causes: Causes,
  at: { object: KubeObject; previous: KubeObject | undefined },
  paths: readonly string[],
): void {
  if (!at.previous) return;
  for (const path of paths) {
    const steps = path.split('.');
    const before = fieldAt(at.previous, ...steps);
    const after = fieldAt(at.object, ...steps);
    const name = steps.at(-1);
    if (before === undefined || isDeepStrictEqual(before, after)) continue;
    if (after === undefined) causes.add(path, `Invalid value: "object": ${name} is required once set`);
    else causes.add(path, `Invalid value: ${JSON.stringify(after)}: ${name} is immutable`);
  }
}

/** The rules that the definition of VolumeSnapshot has in CEL. */
export const volumeSnapshotAdmission: KindAdmission = {
  validate: ({ object, previous, kind, operation }) => {
    if (operation === 'DELETE') return;
    const causes = new Causes();
    const fromClaim = has(object, 'spec', 'source', 'persistentVolumeClaimName');
    const fromContent = has(object, 'spec', 'source', 'volumeSnapshotContentName');
    if (fromClaim === fromContent) {
      causes.add(
        'spec.source',
        'Invalid value: "object": exactly one of volumeSnapshotContentName and persistentVolumeClaimName must be set',
      );
    }
    if (fieldAt(object, 'spec', 'volumeSnapshotClassName') === '') {
      causes.add(
        'spec.volumeSnapshotClassName',
        'Invalid value: "string": volumeSnapshotClassName must not be the empty string when set',
      );
    }
    checkFixed(causes, { object, previous }, [
      'spec.source.persistentVolumeClaimName',
      'spec.source.volumeSnapshotContentName',
    ]);
    causes.refuseField(kind, object);
  },
};

/** The rules that the definition of VolumeSnapshotContent has in CEL. */
export const volumeSnapshotContentAdmission: KindAdmission = {
  validate: ({ object, previous, kind, operation }) => {
    if (operation === 'DELETE') return;
    const causes = new Causes();
    const fromVolume = has(object, 'spec', 'source', 'volumeHandle');
    const fromSnapshot = has(object, 'spec', 'source', 'snapshotHandle');
    if (fromVolume === fromSnapshot) {
      causes.add('spec.source', 'Invalid value: "object": exactly one of volumeHandle and snapshotHandle must be set');
    }
    if (!has(object, 'spec', 'volumeSnapshotRef', 'name') || !has(object, 'spec', 'volumeSnapshotRef', 'namespace')) {
      causes.add(
        'spec.volumeSnapshotRef',
        'Invalid value: "object": both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set',
      );
    }
    checkFixed(causes, { object, previous }, [
      'spec.source.volumeHandle',
      'spec.source.snapshotHandle',
      'spec.sourceVolumeMode',
    ]);
    causes.refuseField(kind, object);
  },
};
