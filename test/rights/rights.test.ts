import { expect, test } from 'vitest';
import { ROLES } from '../../common/contracts/roles.ts';
import { RECORDINGS } from '../harness/recordings.ts';
import { beyondRights, idleExplanations, unusedRights } from './compare-rights.ts';
import { readRecordings, requestsOf } from './recorded-requests.ts';

/*
 * Runs after all other tests (vitest.config.ts) and holds what they made clusters record against the rights that the
 * manifests grant, per role and in both directions. It says something of the whole suite only: after some tests of it,
 * rights seem unused that are not.
 */
const recordings = readRecordings(process.env[RECORDINGS] ?? '');
const requests = requestsOf(recordings);

test('there are recordings of every role', () => {
  const silent = ROLES.filter((role) => requests.get(role)?.size === 0);
  const hint = `No test of this run made ${silent.join(', ')} ask a cluster (${recordings.length} recordings). Rights are judged by the recordings of the whole suite: npm test.`;
  expect(silent, hint).toEqual([]);
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
