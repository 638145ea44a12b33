import { isDeepStrictEqual } from 'node:util';
import { ApiError, badRequest } from '../api-error.ts';
import { isJsonObject } from '../objects.ts';

/** A patch that does not fit the object: the API answers 422. */
function unfit(message: string): ApiError {
  return new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${message}`);
}

function steps(pointer: unknown): string[] {
  if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/'))) {
    throw badRequest(`json patch: "${String(pointer)}" is not a JSON pointer`);
  }
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Index into an array; `-` and the length name the place after the end. */
function indexOf(step: string, length: number): number {
  if (step === '-') return length;
  const index = Number(step);
  if (!/^(0|[1-9]\d*)$/.test(step) || index > length) throw unfit(`invalid array index "${step}"`);
  return index;
}

/** The value at a path. @throws ApiError 422 when a step is missing */
function valueAt(document: unknown, path: readonly string[]): unknown {
  let current = document;
  for (const step of path) {
    if (Array.isArray(current)) {
      const index = indexOf(step, current.length - 1);
      if (index < 0) throw unfit(`invalid array index "${step}"`);
      current = current[index];
    } else if (isJsonObject(current) && Object.hasOwn(current, step)) current = current[step];
    else throw unfit(`path "/${path.join('/')}" does not exist`);
  }
  return current;
}

function edit(
  document: unknown,
  path: readonly string[],
  change: { kind: 'add' | 'replace' | 'remove'; value?: unknown },
): unknown {
  const last = path.at(-1);
  if (last === undefined) return change.value;
  const parent = valueAt(document, path.slice(0, -1));
  if (change.kind !== 'add') valueAt(document, path);
  if (Array.isArray(parent)) {
    const index = indexOf(last, parent.length);
    if (change.kind === 'add') parent.splice(index, 0, change.value);
    else if (change.kind === 'remove') parent.splice(index, 1);
    else parent[index] = change.value;
  } else if (isJsonObject(parent)) {
    if (change.kind === 'remove') delete parent[last];
    else parent[last] = change.value;
  } else throw unfit(`path "/${path.join('/')}" does not exist`);
  return document;
}

function applyOperation(document: unknown, operation: unknown): unknown {
  if (!isJsonObject(operation)) throw badRequest('json patch: an operation must be an object');
  const path = steps(operation['path']);
  switch (operation['op']) {
    case 'add':
    case 'replace':
      return edit(document, path, { kind: operation['op'], value: structuredClone(operation['value']) });
    case 'remove':
      return edit(document, path, { kind: 'remove' });
    case 'move': {
      const from = steps(operation['from']);
      const value = valueAt(document, from);
      return edit(edit(document, from, { kind: 'remove' }), path, { kind: 'add', value });
    }
    case 'copy':
      return edit(document, path, { kind: 'add', value: structuredClone(valueAt(document, steps(operation['from']))) });
    case 'test':
      if (!isDeepStrictEqual(valueAt(document, path), operation['value'])) {
        throw unfit(`testing value ${String(operation['path'])} failed`);
      }
      return document;
    default:
      throw badRequest(`json patch: unknown operation "${String(operation['op'])}"`);
  }
}

/**
 * Applies a JSON Patch (RFC 6902) to a copy of the document.
 * @throws ApiError 400 for a malformed patch, 422 when it does not fit or a test fails
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('json patch: the patch must be an array of operations');
  return patch.reduce(applyOperation, structuredClone(document));
}
