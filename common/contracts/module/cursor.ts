import type { Path } from './yaml-nodes.ts';

/** A place in a document that may be misshapen: reading an absent value yields an empty cursor. */
export class Cursor {
  readonly value: unknown;
  readonly path: Path;

  constructor(value: unknown, path: Path = []) {
    this.value = value;
    this.path = path;
  }

  get isPresent(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** The text here, or null. */
  get text(): string | null {
    return typeof this.value === 'string' ? this.value : null;
  }

  at(...steps: Path): Cursor {
    let value: unknown = this.value;
    for (const step of steps) value = typeof value === 'object' && value !== null ? own(value, step) : undefined;
    return new Cursor(value, [...this.path, ...steps]);
  }

  /** The items, when there is a list here. */
  list(...steps: Path): Cursor[] {
    const cursor = this.at(...steps);
    return Array.isArray(cursor.value)
      ? cursor.value.map((item, index) => new Cursor(item, [...cursor.path, index]))
      : [];
  }

  /** Names of the keys that have a value. */
  get keys(): string[] {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) return [];
    return Object.entries(this.value).flatMap(([key, value]) => (value === undefined || value === null ? [] : [key]));
  }

  /** The item of a list that has this name. */
  named(listKey: string, name: string | null): Cursor | null {
    return this.list(listKey).find((item) => name !== null && item.at('name').text === name) ?? null;
  }
}

function own(holder: object, step: string | number): unknown {
  return Object.hasOwn(holder, step) ? (holder as Record<string | number, unknown>)[step] : undefined;
}

/** `vms[0].disks[1].size`; empty for the root. */
export function formatPath(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '');
}
