import { beforeAll, expect, test } from 'vitest';
import { CLUSTER_ROLES } from '../../common/contracts/roles.ts';
import { RECORDINGS } from '../harness/recordings.ts';
import { beyondRights, idleExplanations, unusedRights } from './compare-rights.ts';
import { readRecordings, requestsOf } from './recorded-requests.ts';

/*
 * Runs after all other tests (vitest.config.ts) and holds what they made clusters record against the rights that the
 * manifests grant, per role and in both directions. It holds for the whole suite only: after some tests of it,
 * rights seem unused that are not.
 */
const recordings = readRecordings(process.env[RECORDINGS] ?? '');
const requests = requestsOf(recordings);

beforeAll(() => {
  const silent = CLUSTER_ROLES.filter((role) => requests.get(role)?.size === 0);
  if (silent.length === 0) return;
  const made = `There are ${recordings.length} recordings, and none of ${silent.join(', ')} asking a cluster.`;
  throw new Error(`${made} Rights are judged by the recordings of the whole suite: npm test.`);
});

test('no role asks for what it is not granted', () => {
  expect(beyondRights(requests)).toEqual([]);
});

test('no role is granted what it never asks for', () => {
  expect(unusedRights(requests)).toEqual([]);
});

test('every explanation of a right that is not recorded explains one', () => {
  expect(idleExplanations(requests)).toEqual([]);
});
