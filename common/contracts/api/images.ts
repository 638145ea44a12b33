import { z } from 'zod';
import { exportRequestSchema, exportViewSchema, pushRequestSchema, pushViewSchema } from '../exports.ts';
import {
  imageViewSchema,
  prunedSchema,
  pruneRequestSchema,
  removedImageSchema,
  tagRequestSchema,
  tagViewSchema,
} from '../images.ts';
import { importRequestSchema } from '../imports.ts';
import { planSchema } from '../plans.ts';
import { provenanceSchema } from '../provenance.ts';
import { runRequestSchema, runViewSchema } from '../runs.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

const nextCursor = z.string().nullable();

/** Images: versions, tags, removal, exports, clones. */
export const IMAGES = {
  listImages: {
    method: 'get',
    path: '/api/v1/images',
    summary: 'The images: versions of modules, newest first.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ images: z.array(imageViewSchema), nextCursor }) } },
    query: requests.imagesQuerySchema,
  },
  readImage: {
    method: 'get',
    path: '/api/v1/images/{image}',
    params: requests.imageParamsSchema,
    summary: 'One image: `NAME` (its newest version), `NAME:VERSION` or `NAME@TAG`.',
    role: 'viewer',
    answers: { 200: { schema: imageViewSchema } },
  },
  readProvenance: {
    method: 'get',
    path: '/api/v1/images/{image}/provenance',
    params: requests.imageParamsSchema,
    summary:
      'The provenance of an image: an in-toto statement with SLSA provenance (v1). Module text, sources and steps are included as long as the farm keeps the build (`retention.builds`).',
    role: 'builder',
    answers: { 200: { schema: provenanceSchema } },
  },
  removeImage: {
    method: 'delete',
    path: '/api/v1/images/{image}',
    params: requests.imageParamsSchema,
    summary:
      'Remove a version. The disks are removed with the last version of their layer. `ImageInUse` (409) while it has a tag or children, unless forced, and while a running build needs it.',
    role: 'builder',
    answers: { 200: { schema: removedImageSchema } },
    query: requests.removalQuerySchema,
    isAudited: true,
  },
  pruneImages: {
    method: 'post',
    path: '/api/v1/prune',
    summary:
      'Remove images by the retention of the request, or else of the configuration. Tagged images, parents of images that stay, and images that a running build needs are kept.',
    role: 'admin',
    answers: { 200: { schema: prunedSchema } },
    body: pruneRequestSchema,
    isAudited: true,
  },
  importImage: {
    method: 'post',
    path: '/api/v1/images/{module}/imports',
    params: requests.importParamsSchema,
    summary:
      'Make a version of an image from a disk image as it is, by a build that starts no machine. The same content again returns the existing version. `BlobMissing` (409) until a local file was put at /api/v1/blobs/{sha256}.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), plan: planSchema }) } },
    body: importRequestSchema,
    headers: requests.submissionHeadersSchema,
    isAudited: true,
  },
  exportImage: {
    method: 'post',
    path: '/api/v1/images/{image}/exports',
    params: requests.imageParamsSchema,
    summary:
      'Export a disk of an image as a file. The same disk in the same format is one export, kept for `retention.exports` after its last use.',
    role: 'builder',
    answers: { 202: { schema: exportViewSchema } },
    body: exportRequestSchema,
    isAudited: true,
  },
  readExport: {
    method: 'get',
    path: '/api/v1/exports/{export}',
    params: requests.exportParamsSchema,
    summary: 'The progress of an export.',
    role: 'builder',
    answers: { 200: { schema: exportViewSchema } },
    query: requests.exportQuerySchema,
  },
  downloadExport: {
    method: 'get',
    path: '/api/v1/exports/{export}/content',
    params: requests.exportParamsSchema,
    summary:
      'The file of an export that is ready, by ranges too (`Range`). Its `ETag` is its SHA-256. With `Accept: application/vnd.slipway.sparse` zeros are left out: the size of the file, then the offset, length and bytes of what is not zero, at last the end with the length 0; numbers are big endian, of 8 bytes.',
    role: 'builder',
    answers: { 200: { mediaType: 'application/octet-stream' }, 206: { mediaType: 'application/octet-stream' } },
    headers: requests.contentHeadersSchema,
  },
  pushImage: {
    method: 'post',
    path: '/api/v1/images/{image}/pushes',
    params: requests.imageParamsSchema,
    summary:
      'Push a disk of an image to a container registry, as a containerDisk of KubeVirt that modules and clusters can start from. The answer is a stream of server-sent events with the progress, and ends with `pushed` or `failed`; closing it cancels the push.',
    role: 'builder',
    answers: { 200: { mediaType: 'text/event-stream', schema: pushViewSchema } },
    body: pushRequestSchema,
    isAudited: true,
  },
  runImage: {
    method: 'post',
    path: '/api/v1/images/{image}/runs',
    params: requests.imageParamsSchema,
    summary:
      'Start a clone of an image: all of its machines, on a network of their own. It is a build that makes no image; cancelling it stops it.',
    role: 'builder',
    answers: { 202: { schema: runViewSchema } },
    body: runRequestSchema.prefault({}),
    isAudited: true,
  },
  listRuns: {
    method: 'get',
    path: '/api/v1/runs',
    summary: 'The clones that have not ended, newest first.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ runs: z.array(runViewSchema) }) } },
  },
  tagImage: {
    method: 'put',
    path: '/api/v1/images/{module}/tags/{tag}',
    params: requests.tagParamsSchema,
    summary: 'Assign a tag to a version; it moves from the version that had it.',
    role: 'builder',
    answers: { 200: { schema: tagViewSchema } },
    body: tagRequestSchema,
    isAudited: true,
  },
  untagImage: {
    method: 'delete',
    path: '/api/v1/images/{module}/tags/{tag}',
    params: requests.tagParamsSchema,
    summary: 'Remove a tag; the version stays.',
    role: 'builder',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
} as const satisfies Operations;
