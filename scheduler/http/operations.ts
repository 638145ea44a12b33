import { z } from 'zod';
import { blobViewSchema } from '../../common/contracts/blobs.ts';
import { buildSummarySchema, buildViewSchema, clusterViewSchema } from '../../common/contracts/builds.ts';
import { farmEventSchema } from '../../common/contracts/events.ts';
import { exportRequestSchema, exportViewSchema } from '../../common/contracts/exports.ts';
import {
  imageViewSchema,
  prunedSchema,
  pruneRequestSchema,
  removedImageSchema,
  tagRequestSchema,
  tagViewSchema,
} from '../../common/contracts/images.ts';
import { planSchema } from '../../common/contracts/plans.ts';
import { runRequestSchema, runViewSchema } from '../../common/contracts/runs.ts';
import { secretValueSchema, secretViewSchema } from '../../common/contracts/secrets.ts';
import { serialPieceSchema } from '../../common/contracts/serial.ts';
import { sshAccessSchema } from '../../common/contracts/ssh-access.ts';
import { storageViewSchema } from '../../common/contracts/storage.ts';
import {
  createdTokenSchema,
  identitySchema,
  type Role,
  signInCodeSchema,
  tokenRequestSchema,
  tokenViewSchema,
} from '../../common/contracts/tokens.ts';
import * as requests from './requests.ts';

/** One answer of an operation. */
export interface Answer {
  /** Absent: no body, or one that is no JSON. */
  readonly schema?: z.ZodType;
  /** @defaultValue `application/json`; null: no body */
  readonly mediaType?: string | null;
}

/** One operation as it is described, guarded and validated. */
export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** Parameters in braces. */
  readonly path: string;
  readonly summary: string;
  /** The least role that may ask; null: open to everybody. */
  readonly role: Role | null;
  readonly answers: Readonly<Record<number, Answer>>;
  /** `modules`: a submission. */
  readonly body?: 'modules' | z.ZodType;
  /** @defaultValue `application/json` */
  readonly bodyType?: string;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** It changes something: every attempt is a line of the audit log. */
  readonly isAudited?: boolean;
}

const TEXT: Answer = { mediaType: 'text/plain' };
const HTML: Answer = { mediaType: 'text/html' };
const nextCursor = z.string().nullable();
const time = z.iso.datetime();
const EVENTS: Answer = {
  mediaType: 'text/event-stream',
  schema: z.discriminatedUnion('event', withTimes(farmEventSchema.options)),
};

/** Every operation of the farm. What is not in this table is not served. */
export const OPERATIONS: readonly Operation[] = [
  {
    id: 'submitBuild',
    method: 'post',
    path: '/api/v1/builds',
    summary: 'Build modules. With `wait` the answer (200) is the finished build.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), plan: planSchema }) }, 200: { schema: buildViewSchema } },
    body: 'modules',
    query: requests.submissionQuerySchema,
    headers: requests.submissionHeadersSchema,
    isAudited: true,
  },
  {
    id: 'plan',
    method: 'post',
    path: '/api/v1/plan',
    summary: 'What building modules would do now.',
    role: 'builder',
    answers: { 200: { schema: planSchema } },
    body: 'modules',
    query: requests.planQuerySchema,
  },
  {
    id: 'listBuilds',
    method: 'get',
    path: '/api/v1/builds',
    summary: 'Builds, newest first.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ builds: z.array(buildSummarySchema), nextCursor }) } },
    query: requests.buildsQuerySchema,
  },
  {
    id: 'readBuild',
    method: 'get',
    path: '/api/v1/builds/{id}',
    summary: 'One build.',
    role: 'viewer',
    answers: { 200: { schema: buildViewSchema } },
  },
  {
    id: 'cancelBuild',
    method: 'post',
    path: '/api/v1/builds/{id}/cancel',
    summary: 'Cancel a build. Layer builds that no other build waits for stop.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), cancelled: z.boolean() }) } },
    isAudited: true,
  },
  {
    id: 'retryBuild',
    method: 'post',
    path: '/api/v1/builds/{id}/retry',
    summary:
      'Build the modules of a build that has ended and that did not succeed in it again, as they were submitted. It is another build; layers that are there are reused, the others begin from their sources.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), plan: planSchema }) } },
    query: requests.retryQuerySchema,
    isAudited: true,
  },
  {
    id: 'streamEvents',
    method: 'get',
    path: '/api/v1/builds/{id}/events',
    summary: 'Events of a build as server-sent events, resumable by Last-Event-ID, until it has finished.',
    role: 'viewer',
    answers: { 200: EVENTS },
    query: requests.eventsQuerySchema,
    headers: requests.eventsHeadersSchema,
  },
  {
    id: 'streamLogs',
    method: 'get',
    path: '/api/v1/builds/{id}/logs',
    summary: 'The log lines among the events, and the end.',
    role: 'viewer',
    answers: { 200: EVENTS },
    query: requests.eventsQuerySchema,
    headers: requests.eventsHeadersSchema,
  },
  {
    id: 'readScreenshot',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/screenshot',
    summary: 'The screen of a VM: live while it runs, else the picture that was kept.',
    role: 'viewer',
    answers: { 200: { mediaType: 'image/png' } },
    query: requests.vmQuerySchema,
  },
  {
    id: 'streamSerial',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/serial',
    summary:
      'What the machine of a VM says at its first serial port, as server-sent events, resumable by Last-Event-ID, until the work on it has ended. The last 256 KiB are kept as long as the build.',
    role: 'viewer',
    answers: { 200: { mediaType: 'text/event-stream', schema: serialPieceSchema } },
    query: requests.serialQuerySchema,
    headers: requests.serialHeadersSchema,
  },
  {
    id: 'openConsole',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/vnc',
    summary:
      'The console of a VM as a WebSocket with the subprotocol `binary`: RFB 3.8 as noVNC speaks it, without a password. It may be opened before the VM is there. Builders type while a `handbuild` step waits, everybody else looks. Browsers send the token as one more subprotocol, `base64url.bearer.authorization.slipway.dev.` and its base64url without padding.',
    role: 'viewer',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
  },
  {
    id: 'openSerialConsole',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/serial-console',
    summary:
      'The first serial port of a machine as a WebSocket with the subprotocol `binary`: bytes as they are, both ways. Who may type, and how browsers send the token, is as for the screen. It ends with the machine, and when somebody outside of the farm opens it.',
    role: 'viewer',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
  },
  {
    id: 'readSshAccess',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/ssh-access',
    summary:
      'How to log in to a machine while a step of it waits for a person: the user, and the private key of the build. For the token whose build it is, and admins.',
    role: 'builder',
    answers: { 200: { schema: sshAccessSchema } },
    query: requests.vmQuerySchema,
    isAudited: true,
  },
  {
    id: 'openSsh',
    method: 'get',
    path: '/api/v1/builds/{id}/vms/{vm}/ssh',
    summary:
      'The SSH server of a machine as a WebSocket with the subprotocol `binary`: bytes as they are, both ways, while a step of it waits for a person. For the token whose build it is, and admins.',
    role: 'builder',
    answers: { 101: { mediaType: null } },
    query: requests.vmQuerySchema,
    isAudited: true,
  },
  {
    id: 'continueHandbuild',
    method: 'post',
    path: '/api/v1/builds/{id}/vms/{vm}/continue',
    summary:
      'Let the step of a VM go on that waits for a person: a `handbuild` step, or one that has failed and whose machine is kept. `NotWaiting` (409) when none waits.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), vm: z.string(), step: z.int() }) } },
    query: requests.continueQuerySchema,
    isAudited: true,
  },
  {
    id: 'listImages',
    method: 'get',
    path: '/api/v1/images',
    summary: 'The images: versions of modules, newest first.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ images: z.array(imageViewSchema), nextCursor }) } },
    query: requests.imagesQuerySchema,
  },
  {
    id: 'readImage',
    method: 'get',
    path: '/api/v1/images/{image}',
    summary: 'One image: `NAME` (its newest version), `NAME:VERSION` or `NAME@TAG`.',
    role: 'viewer',
    answers: { 200: { schema: imageViewSchema } },
  },
  {
    id: 'removeImage',
    method: 'delete',
    path: '/api/v1/images/{image}',
    summary:
      'Remove a version. With the last version of a layer its disks go. `ImageInUse` (409) while it has a tag or others stand on it, unless forced, and while a running build needs it.',
    role: 'builder',
    answers: { 200: { schema: removedImageSchema } },
    query: requests.removalQuerySchema,
    isAudited: true,
  },
  {
    id: 'pruneImages',
    method: 'post',
    path: '/api/v1/images/prune',
    summary:
      'Remove the images that a retention lets go: the one that is asked for, else the one of the configuration. What has a tag, what a kept image was made from, and what a running build needs stays.',
    role: 'admin',
    answers: { 200: { schema: prunedSchema } },
    body: pruneRequestSchema,
    isAudited: true,
  },
  {
    id: 'exportImage',
    method: 'post',
    path: '/api/v1/images/{image}/exports',
    summary:
      'Make a file of a disk of an image. The same disk in the same format is one export; it is kept for `retention.exports` after its last use.',
    role: 'builder',
    answers: { 202: { schema: exportViewSchema } },
    body: exportRequestSchema,
    isAudited: true,
  },
  {
    id: 'readExport',
    method: 'get',
    path: '/api/v1/exports/{export}',
    summary: 'How far an export is.',
    role: 'builder',
    answers: { 200: { schema: exportViewSchema } },
    query: requests.exportQuerySchema,
  },
  {
    id: 'downloadExport',
    method: 'get',
    path: '/api/v1/exports/{export}/content',
    summary: 'The file of an export that is ready, by ranges too (`Range`). Its `ETag` is its SHA-256.',
    role: 'builder',
    answers: { 200: { mediaType: 'application/octet-stream' }, 206: { mediaType: 'application/octet-stream' } },
  },
  {
    id: 'runImage',
    method: 'post',
    path: '/api/v1/images/{image}/runs',
    summary:
      'Start a clone of an image: all of its machines, on a network of their own. It is a build that makes no image; cancelling it stops it.',
    role: 'builder',
    answers: { 202: { schema: runViewSchema } },
    body: runRequestSchema,
    isAudited: true,
  },
  {
    id: 'listRuns',
    method: 'get',
    path: '/api/v1/runs',
    summary: 'The clones that have not ended, newest first.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ runs: z.array(runViewSchema) }) } },
  },
  {
    id: 'tagImage',
    method: 'put',
    path: '/api/v1/images/{module}/tags/{tag}',
    summary: 'Give a tag to a version; the version that had it loses it.',
    role: 'builder',
    answers: { 200: { schema: tagViewSchema } },
    body: tagRequestSchema,
    isAudited: true,
  },
  {
    id: 'untagImage',
    method: 'delete',
    path: '/api/v1/images/{module}/tags/{tag}',
    summary: 'Take a tag away; the version stays.',
    role: 'builder',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
  {
    id: 'listClusters',
    method: 'get',
    path: '/api/v1/clusters',
    summary: 'The clusters, what is used of them and who works there.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ clusters: z.array(clusterViewSchema) }) } },
  },
  {
    id: 'readStorage',
    method: 'get',
    path: '/api/v1/storage',
    summary: 'What the farm has of the storage of its clusters and of Redis, and what is free.',
    role: 'viewer',
    answers: { 200: { schema: storageViewSchema } },
  },
  {
    id: 'putBlob',
    method: 'put',
    path: '/api/v1/blobs/{sha256}',
    summary:
      'Send the content of a local file (201; 200 when the farm has it). It is kept when it has that hash. An upload that was cut goes on with `Content-Range`.',
    role: 'builder',
    answers: { 201: { schema: blobViewSchema }, 200: { schema: blobViewSchema } },
    body: z.string().meta({ description: 'The content.' }),
    bodyType: 'application/octet-stream',
    headers: requests.uploadHeadersSchema,
    isAudited: true,
  },
  {
    id: 'readBlob',
    method: 'get',
    path: '/api/v1/blobs/{sha256}',
    summary:
      'Whether the farm has a content (HEAD too); `NotFound` (404) until it is whole. `Upload-Offset` says how many bytes are there.',
    role: 'builder',
    answers: { 200: { schema: blobViewSchema } },
  },
  {
    id: 'setSecret',
    method: 'put',
    path: '/api/v1/secrets/{name}',
    summary: 'Keep the value of a secret (201), in the place of its former one (200).',
    role: 'admin',
    answers: { 201: { schema: secretViewSchema }, 200: { schema: secretViewSchema } },
    body: secretValueSchema,
    bodyType: 'text/plain',
    isAudited: true,
  },
  {
    id: 'listSecrets',
    method: 'get',
    path: '/api/v1/secrets',
    summary: 'The secrets by name, without their values, which nothing ever answers.',
    role: 'builder',
    answers: { 200: { schema: z.object({ secrets: z.array(secretViewSchema) }) } },
  },
  {
    id: 'removeSecret',
    method: 'delete',
    path: '/api/v1/secrets/{name}',
    summary: 'Forget a secret. Builds that were accepted keep it until they end.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
  {
    id: 'readIdentity',
    method: 'get',
    path: '/api/v1/whoami',
    summary: 'The token that asks: its name and role.',
    role: 'viewer',
    answers: { 200: { schema: identitySchema } },
  },
  {
    id: 'createSignInCode',
    method: 'post',
    path: '/api/v1/sign-in-codes',
    summary: 'Make a code for a link: `/sign-in?code=CODE&to=/PATH` signs a browser in as the token that asks, once.',
    role: 'viewer',
    answers: { 201: { schema: signInCodeSchema } },
    isAudited: true,
  },
  {
    id: 'createToken',
    method: 'post',
    path: '/api/v1/tokens',
    summary: 'Make a token. This answer is the only one that shows it.',
    role: 'admin',
    answers: { 201: { schema: createdTokenSchema } },
    body: tokenRequestSchema,
    isAudited: true,
  },
  {
    id: 'listTokens',
    method: 'get',
    path: '/api/v1/tokens',
    summary: 'The valid tokens beside the one of the configuration, without themselves.',
    role: 'admin',
    answers: { 200: { schema: z.object({ tokens: z.array(tokenViewSchema) }) } },
  },
  {
    id: 'revokeToken',
    method: 'delete',
    path: '/api/v1/tokens/{name}',
    summary: 'Refuse a token from now on.',
    role: 'admin',
    answers: { 204: { mediaType: null } },
    isAudited: true,
  },
  {
    id: 'readMetrics',
    method: 'get',
    path: '/metrics',
    summary: 'Metrics of the farm in the text format of Prometheus.',
    role: 'viewer',
    answers: { 200: TEXT },
  },
  {
    id: 'readModuleSchema',
    method: 'get',
    path: '/schemas/module.json',
    summary: 'JSON Schema of module files.',
    role: 'viewer',
    answers: { 200: { mediaType: 'application/schema+json', schema: z.looseObject({}) } },
  },
  {
    id: 'readDescription',
    method: 'get',
    path: '/api/openapi.json',
    summary: 'This description (OpenAPI 3.1).',
    role: 'viewer',
    answers: { 200: { schema: z.looseObject({ openapi: z.string() }) } },
  },
  {
    id: 'readReference',
    method: 'get',
    path: '/api',
    summary: 'This description as a page.',
    role: 'viewer',
    answers: { 200: HTML },
  },
  {
    id: 'isAlive',
    method: 'get',
    path: '/healthz',
    summary: 'The process runs.',
    role: null,
    answers: { 200: TEXT },
  },
  {
    id: 'isReady',
    method: 'get',
    path: '/readyz',
    summary: 'The process takes requests (200), or not now (503).',
    role: null,
    answers: { 200: TEXT, 503: TEXT },
  },
];

type EventSchema = (typeof farmEventSchema.options)[number];

/** Events as they are sent: with their time. */
function withTimes([first, ...others]: readonly [EventSchema, ...EventSchema[]]) {
  const timed = (schema: EventSchema) => z.object({ ...schema.shape, time });
  return [timed(first), ...others.map(timed)] as const;
}
