import { z } from 'zod';
import { buildSummarySchema, buildViewSchema } from '../builds.ts';
import { farmEventSchema, type SentEvent } from '../events.ts';
import { planSchema } from '../plans.ts';
import { waitingSchema } from '../waiting.ts';
import type { Operations } from './operation.ts';
import * as requests from './parameters.ts';

const nextCursor = z.string().nullable();
type EventSchema = (typeof farmEventSchema.options)[number];

const sentEventSchema: z.ZodType<SentEvent> = z.discriminatedUnion('event', withTimes(farmEventSchema.options));

const EVENTS = { mediaType: 'text/event-stream', schema: sentEventSchema } as const;

/** Builds: submission, reading, events. */
export const BUILDS = {
  submitBuild: {
    method: 'post',
    path: '/api/v1/builds',
    summary: 'Build modules. With `wait` the answer (200) is the finished build, with the first page of its modules.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), plan: planSchema }) }, 200: { schema: buildViewSchema } },
    body: 'modules',
    query: requests.submissionQuerySchema,
    headers: requests.submissionHeadersSchema,
    isAudited: true,
  },
  plan: {
    method: 'post',
    path: '/api/v1/plan',
    summary: 'Plan a build of the modules without starting it.',
    role: 'builder',
    answers: { 200: { schema: planSchema } },
    body: 'modules',
    query: requests.planQuerySchema,
  },
  listBuilds: {
    method: 'get',
    path: '/api/v1/builds',
    summary:
      'List builds, newest first. A page of a search can have fewer rows than its limit, even none, and still have a `nextCursor`.',
    role: 'viewer',
    answers: { 200: { schema: z.object({ builds: z.array(buildSummarySchema), nextCursor }) } },
    query: requests.buildsQuerySchema,
  },
  readBuild: {
    method: 'get',
    path: '/api/v1/builds/{id}',
    params: requests.buildParamsSchema,
    summary: 'One build: its progress, and its modules by page.',
    role: 'viewer',
    answers: { 200: { schema: buildViewSchema } },
    query: requests.buildQuerySchema,
  },
  explainBuild: {
    method: 'get',
    path: '/api/v1/builds/{id}/waiting',
    params: requests.buildParamsSchema,
    summary:
      'The resource or person that each module of a build waits for, its position, and an estimate from earlier durations.',
    role: 'viewer',
    answers: { 200: { schema: waitingSchema } },
  },
  downloadArchive: {
    method: 'get',
    path: '/api/v1/builds/{id}/archive',
    params: requests.buildParamsSchema,
    summary:
      'All current records of a build as one `tar.gz`: the build with its plan, its events, a log per VM and step, the serial output of its machines, pictures of failures, and the provenance of its images.',
    role: 'builder',
    answers: { 200: { mediaType: 'application/gzip' } },
  },
  cancelBuild: {
    method: 'post',
    path: '/api/v1/builds/{id}/cancel',
    params: requests.buildParamsSchema,
    summary: 'Cancel a build. Layer builds that no other build waits for stop.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), cancelled: z.boolean() }) } },
    isAudited: true,
  },
  retryBuild: {
    method: 'post',
    path: '/api/v1/builds/{id}/retry',
    params: requests.buildParamsSchema,
    summary:
      'Retry the modules of an ended build that did not succeed, as they were submitted, in a new build. Existing layers are reused; a module that failed in its snapshot phase continues there where its disks allow it; other modules begin from their sources.',
    role: 'builder',
    answers: { 202: { schema: z.object({ buildId: z.string(), plan: planSchema }) } },
    query: requests.retryQuerySchema,
    isAudited: true,
  },
  streamEvents: {
    method: 'get',
    path: '/api/v1/builds/{id}/events',
    params: requests.buildParamsSchema,
    summary: 'Events of a build as server-sent events, resumable by Last-Event-ID, until it has finished.',
    role: 'viewer',
    answers: { 200: EVENTS },
    query: requests.eventsQuerySchema,
    headers: requests.eventsHeadersSchema,
  },
  streamLogs: {
    method: 'get',
    path: '/api/v1/builds/{id}/logs',
    params: requests.buildParamsSchema,
    summary: 'The log lines among the events, and the end.',
    role: 'viewer',
    answers: { 200: EVENTS },
    query: requests.eventsQuerySchema,
    headers: requests.eventsHeadersSchema,
  },
} as const satisfies Operations;

/** Events as they are sent: with their time. */
function withTimes([first, ...others]: readonly [EventSchema, ...EventSchema[]]) {
  const timed = (schema: EventSchema) => z.object({ ...schema.shape, time: z.iso.datetime() });
  return [timed(first), ...others.map(timed)] as const;
}
