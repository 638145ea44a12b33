import { z } from 'zod';
import { clusterViewSchema } from '../builds.ts';
import { storageViewSchema } from '../storage.ts';
import type { Operations } from './operation.ts';

/** Clusters and their storage. */
export const CLUSTERS = {
  listClusters: {
    method: 'get',
    path: '/api/v1/clusters',
    summary: 'The clusters, what is used of them and who works there.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ clusters: z.array(clusterViewSchema) }) } },
  },
  readStorage: {
    method: 'get',
    path: '/api/v1/storage',
    summary: 'What the farm has of the storage of its clusters and of Redis, and what is free.',
    role: 'viewer',
    answers: { 200: { schema: storageViewSchema } },
  },
} as const satisfies Operations;
