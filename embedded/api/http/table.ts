import type { JsonObject, KubeObject, PrinterColumn, ResourceKind } from '../objects.ts';
import { readJsonPath } from './json-path.ts';

const NAME_COLUMN = { name: 'Name', type: 'string', format: 'name', description: '', priority: 0 };

/** Whether a client prefers `meta.k8s.io/v1` Tables, as `kubectl get` does. */
export function wantsTable(accept: string | undefined): boolean {
  return (accept ?? '').split(',').some((item) => /;\s*as=Table/.test(item) && /;\s*g=meta\.k8s\.io/.test(item));
}

/** How the table of objects names and shows time that has passed: `45s`, `3m`, `2h`, `5d`. */
function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 3 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function cell(object: KubeObject, column: PrinterColumn, now: number): unknown {
  const value = readJsonPath(object, column.jsonPath);
  if (value === undefined) return column.type === 'date' ? '<unknown>' : '';
  if (column.type === 'date') return age(String(value), now);
  if (column.type === 'integer' || column.type === 'number' || column.type === 'boolean') return value;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** How a table is made. */
export interface TableOptions {
  readonly kind: ResourceKind;
  /** Epoch in milliseconds that ages are counted to. */
  readonly now: number;
  /** `includeObject` of the request. @defaultValue `Metadata` */
  readonly includeObject: string;
}

/** Objects as a table with the kind's printer columns; `metadata` is that of the list. */
export function tableOf(objects: readonly KubeObject[], metadata: JsonObject, options: TableOptions): JsonObject {
  const { kind, now, includeObject } = options;
  const columns = kind.printerColumns.map((column) => ({ format: '', description: '', priority: 0, ...column }));
  const rows = objects.map((object) => ({
    cells: [object.metadata.name, ...kind.printerColumns.map((column) => cell(object, column, now))],
    ...(includeObject === 'None' ? {} : { object: includeObject === 'Object' ? object : metadataOf(object) }),
  }));
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: [NAME_COLUMN, ...columns.map(({ jsonPath: _, ...column }) => column)],
    rows,
  };
}

function metadataOf(object: KubeObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}
