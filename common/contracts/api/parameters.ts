import { z } from 'zod';
import { sha256Schema } from '../blobs.ts';
import { buildStateSchema } from '../builds.ts';
import { KEEP_MS, keptAnswerSchema } from '../events.ts';
import { tagSchema } from '../images.ts';
import { DNS_LABEL, DNS_LABEL_MEANING } from '../module/leaves.ts';
import { prioritySchema } from '../owners.ts';
import { keepUpTo } from '../requested-durations.ts';
import { secretNameSchema } from '../secrets.ts';
import { tokenNameSchema } from '../tokens.ts';

/** The largest page that the farm gives. */
export const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

export const buildParamsSchema = z.object({ id: z.string() });
export const vmParamsSchema = z.object({ id: z.string(), vm: z.string() });
/** `NAME`, `NAME:VERSION` or `NAME@TAG`. */
export const imageParamsSchema = z.object({ image: z.string() });
/** The image gets the name: one that modules may have. */
export const importParamsSchema = z.object({
  module: z.string().regex(DNS_LABEL, { error: ({ input }) => `"${input}" is not ${DNS_LABEL_MEANING}` }),
});
export const exportParamsSchema = z.object({ export: z.string() });
export const tagParamsSchema = z.object({ module: z.string(), tag: tagSchema });
export const contentParamsSchema = z.object({ sha256: sha256Schema });
export const clusterParamsSchema = z.object({ cluster: z.string() });
export const secretParamsSchema = z.object({ name: secretNameSchema });
export const tokenParamsSchema = z.object({ name: z.string() });

/** A query parameter that is exactly `true` or `false`, with its default. */
const flag = (otherwise: 'true' | 'false') =>
  z
    .enum(['true', 'false'])
    .default(otherwise)
    .transform((text) => text === 'true');

const planQuery = {
  noCache: flag('false').describe('Build everything, even if layers exist.'),
  rebuild: z
    .string()
    .default('')
    .describe(
      'Comma-separated names of modules to build even if their layers exist, and everything that starts from them.',
    ),
  only: z
    .string()
    .default('')
    .describe('Comma-separated names of modules: build these and what they start from, and no others.'),
  strict: flag('false').describe('Treat warnings about the modules as errors.'),
};

export const planQuerySchema = z.strictObject(planQuery);

const MOST_KEPT_MS = 24 * 3_600_000;

const onError = keepUpTo(MOST_KEPT_MS, { otherwiseMs: KEEP_MS })
  .prefault('abort')
  .describe(
    '`keep` or `keep=DURATION`: the machine of a failed step stays up for a person, with its slot, 2h by default and at most 24h.',
  );

/** A build that is tried again. */
export const retryQuerySchema = z.strictObject({ onError });

export const submissionQuerySchema = z.strictObject({
  ...planQuery,
  onError,
  priority: prioritySchema
    .default('normal')
    .describe('Builds of a higher priority are admitted first; `high` is for admins.'),
  as: tokenNameSchema.optional().describe('Owner of the build, instead of the name of the token; for admins.'),
  pauseBefore: z
    .union([z.string(), z.array(z.string())])
    .transform((text) => [text].flat())
    .prefault([])
    .describe(
      'A step by name or number, `[VM/]STEP`, repeatable: the build waits before it for a person, as long as `onError` keeps a machine, else 2h.',
    ),
  wait: flag('false').describe('Answer when the build has finished.'),
});

export const submissionHeadersSchema = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'The Idempotency-Key must be 1 to 255 printable ASCII characters.')
    .optional()
    .describe('A repeated request with the same key returns the same build.'),
});

const CONTENT_RANGE = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15})$/;
const REFUSED_RANGE = 'Content-Range must be "bytes FIRST-LAST/SIZE", up to the last byte of the content.';

export const uploadHeadersSchema = z.object({
  'content-range': z
    .string()
    .regex(CONTENT_RANGE, REFUSED_RANGE)
    .transform((text) => {
      const [, first, last, size] = CONTENT_RANGE.exec(text) ?? [];
      return { offset: Number(first), end: Number(last) + 1, sizeBytes: Number(size) };
    })
    .refine(({ offset, end, sizeBytes }) => offset < end && end === sizeBytes, REFUSED_RANGE)
    .optional()
    .describe(
      '`bytes FIRST-LAST/SIZE`: continue an interrupted upload at the `Upload-Offset` that GET and HEAD return.',
    ),
  'content-length': z.coerce.number<string | number>().int().optional().describe('Bytes of the body.'),
});

const MOST_SEARCHED = 200;

const limit = z.coerce
  .number<string | number>()
  .int()
  .min(1)
  .max(MAX_PAGE)
  .default(DEFAULT_PAGE)
  .describe('Rows of a page.');

/** The modules of a build, a page at a time: a `nextCursor` leads to the next one. */
export const buildQuerySchema = z.strictObject({
  limit: limit.describe('Modules of a page.'),
  cursor: z
    .string()
    .regex(/^[0-9]{1,9}$/, 'This is not the cursor of a page of this build.')
    .transform(Number)
    .optional()
    .describe('The `nextCursor` of the previous page.'),
});

const STATE = `(${buildStateSchema.options.join('|')})`;

/** A page ends with a `nextCursor`; asking with it as `cursor` gives the page after it. */
export const buildsQuerySchema = z.strictObject({
  limit,
  state: z
    .string()
    .regex(
      new RegExp(`^${STATE}(,${STATE})*$`),
      `Write states with commas between them: ${buildStateSchema.options.join(', ')}.`,
    )
    .optional()
    .describe('Only builds in one of these states, with commas.'),
  by: z.string().max(MOST_SEARCHED).optional().describe('Only builds that were submitted with the token of that name.'),
  search: z
    .string()
    .max(MOST_SEARCHED)
    .optional()
    .describe(
      'Only builds with this text in their id, the name of their token or of a module; letter case is ignored.',
    ),
  clones: flag('true').describe('Clones of images, too.'),
  cursor: cursorOf(/^([0-9]{1,15})\/([0-9A-Z]{26})$/),
});

export const imagesQuerySchema = z.strictObject({
  limit,
  cursor: cursorOf(/^([0-9TZ:.-]{1,32})\/([a-z0-9-]{1,63}:[0-9]{1,9})$/),
  module: z.string().optional().describe('Only the versions of this module.'),
});

export const removalQuerySchema = z.strictObject({
  force: flag('false').describe('Remove it even if it has a tag or children.'),
});

/** As in RFC 9110; a value that is not a range is ignored. */
export const contentHeadersSchema = z.object({
  range: z.string().optional().describe('`bytes=FIRST-`: the file from that byte on.'),
});

export const exportQuerySchema = z.strictObject({
  wait: flag('false').describe('Answer when it has changed, or after some seconds.'),
});

export const continueQuerySchema = z.strictObject({
  layerBuild: z
    .string()
    .optional()
    .describe('The layer build of the VM, where several modules of the build have a VM of this name.'),
  answer: keptAnswerSchema
    .optional()
    .describe('What to do with a failed step whose machine is kept: `retry` (the default), `skip` or `release`.'),
});

export const vmQuerySchema = z.strictObject({
  layerBuild: z
    .string()
    .optional()
    .describe('The layer build of the VM, where several modules of the build have a VM of this name.'),
});

export const eventsQuerySchema = z.strictObject({
  follow: flag('true').describe('Whether to follow until the build has finished.'),
});

export const serialQuerySchema = z.strictObject({ ...vmQuerySchema.shape, ...eventsQuerySchema.shape });

const lastEventId = (id: RegExp) =>
  z
    .string()
    .regex(id, 'Last-Event-ID is not the id of an event.')
    .default('0')
    .describe('Id of the event to continue after.');

/** The lines of a log that were stored together share an entry, and are numbered in it. */
export const eventsHeadersSchema = z.object({
  'last-event-id': lastEventId(/^[0-9]{1,16}(-[0-9]{1,16}(\/[0-9]{1,6})?)?$/),
});

export const serialHeadersSchema = z.object({ 'last-event-id': lastEventId(/^[0-9]{1,16}(-[0-9]{1,16})?$/) });

/** Where a page ended: when its last row was made, and what that is. */
type Position = readonly [time: string, name: string];

/** A position in a list, `TIME/NAME`, as clients hand it back. */
export function writeCursor([time, name]: readonly [string | number, string]): string {
  return `${time}/${name}`;
}

function cursorOf(pattern: RegExp) {
  return z
    .string()
    .regex(pattern, 'This is not the cursor of a page of this list.')
    .transform((text): Position => {
      const [, time = '', name = ''] = pattern.exec(text) ?? [];
      return [time, name];
    })
    .optional()
    .describe('The `nextCursor` of the previous page.');
}
