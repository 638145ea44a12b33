import type { SecretUse } from './compiled.ts';
import { type Cursor, formatPath } from './cursor.ts';
import { secretNames, writtenReference } from './secret-text.ts';
import { TEXT_LIMITS } from './yaml-limits.ts';
import { type Path, startsWith } from './yaml-nodes.ts';
import type { SourceDocument } from './yaml-source.ts';

/**
 * Where a reference to a secret is permitted: texts that only the guest, or the cluster for the guest, gets to see, and
 * passwords in URLs. `[]` is
 * any item of a list, `*` any key.
 */
export const SECRET_PLACES: readonly string[] = [
  'vms[].source.url',
  'vms[].isos[].url',
  'vms[].bootCommand[]',
  'vms[].cloudInit.userData',
  'vms[].cloudInit.networkData',
  'vms[].communicator.sshPassword',
  'vms[].provisioners[].shell.inline',
  'vms[].provisioners[].shell.inline[]',
  'vms[].provisioners[].shell.env.*',
  'vms[].provisioners[].shell.executeCommand',
  'vms[].provisioners[].reboot.command',
  'vms[].shutdownCommand',
  'files[].inline',
  'files[].url',
];

/** A reference to a secret in a document, with its way from the root. */
export interface LocatedUse {
  readonly use: SecretUse;
  readonly path: Path;
}

/**
 * The references in a document that was read, wherever they are and also where an alias repeats them; each has to be
 * looked for, so at most one more than a document may have.
 */
export function secretUses(source: SourceDocument, root: Cursor, bodyPath: Path): LocatedUse[] {
  const found: { name: string; path: Path }[] = [];
  for (const reference of references(root.value, [])) {
    if (found.push(reference) > TEXT_LIMITS.secrets) break;
  }
  return found.map(({ name, path }) => {
    const inBody = startsWith(path, bodyPath) ? path.slice(bodyPath.length) : path;
    return { path, use: { ...source.locatePiece(path, writtenReference(name)), path: formatPath(inBody), name } };
  });
}

/** Whether the value at a path of a document can refer to secrets. */
export function isSecretPlace(path: Path, bodyPath: Path): boolean {
  if (!startsWith(path, bodyPath)) return false;
  const place = formatPath(path.slice(bodyPath.length)).replaceAll(/\[\d+\]/g, '[]');
  return SECRET_PLACES.some((known) => (known.endsWith('*') ? place.startsWith(known.slice(0, -1)) : place === known));
}

/** `above` are the values around it: an alias may be inside the value that it repeats. */
function* references(
  value: unknown,
  path: Path,
  above: readonly object[] = [],
): Generator<{ name: string; path: Path }> {
  if (typeof value === 'string') for (const name of secretNames(value)) yield { name, path };
  if (typeof value !== 'object' || value === null || above.includes(value)) return;
  const isList = Array.isArray(value);
  for (const [key, item] of Object.entries(value)) {
    yield* references(item, [...path, isList ? Number(key) : key], [...above, value]);
  }
}
