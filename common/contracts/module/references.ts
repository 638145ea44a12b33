import type { z } from 'zod';
import type { ObjectKeyRef } from './contents.ts';
import { flag, pattern } from './leaves.ts';
import { map } from './shapes.ts';

/** A name of an object in the farm namespace. */
export const objectNameField = (description: string) =>
  pattern(
    description,
    /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/,
    'a name of an object: use lower-case letters, digits, inner hyphens and dots',
  );

/** A key in such an object. */
export const objectKeyField = (description: string) =>
  pattern(description, /^[A-Za-z0-9._-]{1,253}$/, 'a key: use letters, digits, hyphens, underscores and dots');

/** A key of an object on the cluster. */
export function objectKey(description: string) {
  return map(description, {
    name: objectNameField('Name of the object in the farm namespace.'),
    key: objectKeyField('Key in the object.'),
    optional: flag('Whether the object may be missing.', false).optional(),
  });
}

/** A key of a ConfigMap or Secret. */
export function objectSource(description: string) {
  return map(description, {
    configMapRef: objectKey('Key of a ConfigMap.').optional(),
    secretRef: objectKey('Key of a Secret.').optional(),
  });
}

type ObjectBody = z.output<ReturnType<typeof objectSource>>;

/** Null for a source that names no object; the rules report it. */
export function compileObject(source: ObjectBody): ObjectKeyRef | null {
  const kind = source.secretRef ? 'Secret' : 'ConfigMap';
  const reference = source.secretRef ?? source.configMapRef;
  return reference ? { kind, name: reference.name, key: reference.key, optional: reference.optional ?? false } : null;
}

const LOCAL_PATH = 'relative to this file; it is sent along with the build';

/** A path beside the module file. */
export function localPathField(description: string) {
  return pattern(`${description}, ${LOCAL_PATH}.`, /^[^\0]+$/, 'a path');
}
