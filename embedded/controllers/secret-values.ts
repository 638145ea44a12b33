import { isJsonObject, type ObjectKey } from '../api/objects.ts';
import type { Store } from '../api/store.ts';

/** A Secret or ConfigMap by name; a name that is not text means that none was given. */
export interface ValuesReference {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly namespace: ObjectKey['namespace'];
  readonly name: unknown;
}

/** The files in a Secret or ConfigMap, decoded; empty when the object does not exist. */
export function decodedData(store: Store, { kind, namespace, name }: ValuesReference): Map<string, Buffer> {
  const object = typeof name === 'string' ? store.get(kind, { namespace, name }) : undefined;
  const files = new Map<string, Buffer>();
  if (!object) return files;
  const encoding = kind === 'Secret' ? 'base64' : 'utf8';
  add(files, object['data'], encoding);
  add(files, object['binaryData'], 'base64');
  add(files, object['stringData'], 'utf8');
  return files;
}

function add(files: Map<string, Buffer>, values: unknown, encoding: BufferEncoding): void {
  if (!isJsonObject(values)) return;
  for (const [key, value] of Object.entries(values)) files.set(key, Buffer.from(String(value), encoding));
}
