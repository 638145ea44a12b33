import { z } from 'zod';
import { clusterViewSchema } from '../builds.ts';
import { clusterChangeSchema } from '../cluster-control.ts';
import { storageViewSchema } from '../storage.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

/** Clusters and their storage. */
export const CLUSTERS = {
  listClusters: {
    method: 'get',
    path: '/api/v1/clusters',
    summary: 'The clusters, what is used of them and who works there.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ clusters: z.array(clusterViewSchema) }) } },
  },
  changeCluster: {
    method: 'patch',
    path: '/api/v1/clusters/{cluster}',
    params: requests.clusterParamsSchema,
    summary:
      'Change what a cluster takes (`mode`), its limits and its labels, for all schedulers at once and until it is changed again.',
    role: 'admin',
    answers: { 200: { schema: clusterViewSchema } },
    body: clusterChangeSchema,
    isAudited: true,
  },
  readStorage: {
    method: 'get',
    path: '/api/v1/storage',
    summary: 'What the farm has of the storage of its clusters and of Redis, and what is free.',
    role: 'viewer',
    answers: { 200: { schema: storageViewSchema } },
  },
} as const satisfies Operations;
