import { expect, test } from 'vitest';
import { askedOf, guestBytes, restoreBytes } from './volume-size.ts';

const MIB = 1024 ** 2;
/** CDI's claim for 100 MiB. */
const INFLATED = 111_149_056;
const source = { blank: {} };
const snapshot = (restore: number) => ({ clone: { kind: 'snapshot', restoreBytes: restore } as const });
const claim = { clone: { kind: 'claim' } as const };

test.each([
  ['a blank disk', { contentBytes: 0 }, 100 * MIB, 100 * MIB],
  ['an image of its own', { contentBytes: 100 * MIB }, null, 100 * MIB],
  ['an image that is to grow', { contentBytes: 100 * MIB }, 200 * MIB, 200 * MIB],
  ['an ISO of some KiB', { contentBytes: 300 * 1024 }, null, MIB],
  ['a clone', { contentBytes: 100 * MIB, ...snapshot(INFLATED) }, null, undefined],
  ['a clone at the size of its source', { contentBytes: 100 * MIB, ...snapshot(INFLATED) }, 100 * MIB, undefined],
  ['a clone that is to grow', { contentBytes: 100 * MIB, ...snapshot(INFLATED) }, 300 * MIB, 300 * MIB],
  // CDI compares before it adds.
  ['a clone that is to grow a little', { contentBytes: 100 * MIB, ...snapshot(INFLATED) }, 102 * MIB, INFLATED],
  ['a clone of a snapshot without a size', { contentBytes: 100 * MIB, ...snapshot(0) }, null, 100 * MIB],
  ['a clone of a claim', { contentBytes: 100 * MIB, ...claim }, 100 * MIB, undefined],
  ['a clone of a claim that is to grow', { contentBytes: 100 * MIB, ...claim }, 101 * MIB, 101 * MIB],
])('asks of the cluster for %s', (_case, filling, requestedBytes, expected) => {
  expect(askedOf({ source, ...filling }, requestedBytes)).toBe(expected);
});

test.each([
  ['1Gi', 2 ** 30],
  ['1073741824', 2 ** 30],
  ['1500M', 1.5e9],
  [undefined, 0],
])('reads a restore size of %s', (restoreSize, expected) => {
  expect(restoreBytes({ status: restoreSize === undefined ? {} : { restoreSize } })).toBe(expected);
});

// As real claims are written.
test.each([
  ['of a CDI on a file system', '111149056', 'Filesystem', 100 * MIB],
  ['in whole MiB', '106Mi', 'Filesystem', 100 * MIB],
  ['in another unit', '117818k', undefined, 106 * MIB],
  ['of a block device', '100Mi', 'Block', 100 * MIB],
])('knows what a guest sees of a claim %s', (_case, storage, volumeMode, expected) => {
  const spec = { resources: { requests: { storage } }, ...(volumeMode === undefined ? {} : { volumeMode }) };
  expect(guestBytes({ spec })).toBe(expected);
});
