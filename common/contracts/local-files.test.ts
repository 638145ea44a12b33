import { expect, test } from 'vitest';
import { lookupIn } from './local-files.ts';

const NAMES = ['/etc/passwd', '../../up/secret', '../beside', '../in/deep', 'here', 'in/deep'];
const entries = NAMES.map((path) => ({ path, sha256: 'a'.repeat(64), sizeBytes: 1 }));

test.each([
  ['.', ['here', 'in/deep']],
  ['..', ['beside', 'in/deep']],
  ['../..', ['up/secret']],
  ['/', ['etc/passwd']],
  ['in', ['deep']],
])('the folder %s holds what lies below it, and nothing above or beside it', (at, expected) => {
  const found = lookupIn(entries)(at);
  expect(found && 'item' in found && found.item.kind === 'folder' && [...found.item.items.keys()]).toEqual(expected);
});
