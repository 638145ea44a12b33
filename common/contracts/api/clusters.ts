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
    summary: 'The clusters with their usage and their workers.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ clusters: z.array(clusterViewSchema) }) } },
  },
  changeCluster: {
    method: 'patch',
    path: '/api/v1/clusters/{cluster}',
    params: requests.clusterParamsSchema,
    summary: 'Change the mode, the limits and the labels of a cluster, for all schedulers and until the next change.',
    role: 'admin',
    answers: { 200: { schema: clusterViewSchema } },
    body: clusterChangeSchema,
    isAudited: true,
  },
  readStorage: {
    method: 'get',
    path: '/api/v1/storage',
    summary: 'The storage that the farm uses on its clusters and in Redis, and the free storage.',
    role: 'viewer',
    answers: { 200: { schema: storageViewSchema } },
  },
} as const satisfies Operations;
