import { z } from 'zod';
import { sha256Schema } from '../blobs.ts';
import { KEEP_MS, keptAnswerSchema } from '../events.ts';
import { imageNameSchema, tagSchema } from '../images.ts';
import { parseDuration } from '../module/duration.ts';
import { prioritySchema } from '../owners.ts';
import { secretNameSchema } from '../secrets.ts';
import { tokenNameSchema } from '../tokens.ts';

const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;

export const buildParamsSchema = z.object({ id: z.string() });
export const vmParamsSchema = z.object({ id: z.string(), vm: z.string() });
/** `NAME`, `NAME:VERSION` or `NAME@TAG`. */
export const imageParamsSchema = z.object({ image: z.string() });
export const exportParamsSchema = z.object({ export: z.string() });
export const tagParamsSchema = z.object({ module: z.string(), tag: tagSchema });
export const contentParamsSchema = z.object({ sha256: sha256Schema });
export const secretParamsSchema = z.object({ name: secretNameSchema });
export const tokenParamsSchema = z.object({ name: z.string() });

const flag = z.stringbool().default(false);

const planQuery = {
  noCache: flag.describe('Build everything, even what is there.'),
  rebuild: z
    .string()
    .default('')
    .describe('Names of modules to build even if their layers are there, with commas; what starts from them follows.'),
  only: z
    .string()
    .default('')
    .describe('Names of modules, with commas: build these and what they start from, and leave the others alone.'),
  strict: flag.describe('Take warnings about the modules for errors.'),
};

export const planQuerySchema = z.strictObject(planQuery);

const MOST_KEPT_MS = 24 * 3_600_000;

const onError = z
  .string()
  .transform((text, context): number | null => {
    if (text === 'abort') return null;
    const parsed = text === 'keep' ? { value: KEEP_MS } : parseDuration(/^keep=(.+)$/.exec(text)?.[1]);
    if ('value' in parsed && parsed.value <= MOST_KEPT_MS) return parsed.value;
    context.addIssue('Write abort, keep, or keep=DURATION such as keep=30m, of at most 24h.');
    return z.NEVER;
  })
  .prefault('abort')
  .describe(
    '`keep` or `keep=DURATION`: the machine of a failed step stays up for a person, with its slot, 2h by default.',
  );

/** A build that is tried again. */
export const retryQuerySchema = z.strictObject({ onError });

export const submissionQuerySchema = z.strictObject({
  ...planQuery,
  onError,
  priority: prioritySchema.default('normal').describe('What is more urgent is admitted first; `high` is for admins.'),
  as: tokenNameSchema.optional().describe('Whose build it is, instead of the token’s; for admins.'),
  pauseBefore: z
    .union([z.string(), z.array(z.string())])
    .transform((text) => [text].flat())
    .prefault([])
    .describe(
      'A step by name or number, `[VM/]STEP`, repeatable: the build waits before it for a person, as long as `onError` keeps a machine, else 2h.',
    ),
  wait: flag.describe('Answer when the build has finished.'),
});

export const submissionHeadersSchema = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'The Idempotency-Key must be 1 to 255 printable ASCII characters.')
    .optional()
    .describe('The same request under the same key is the same build.'),
});

export const uploadHeadersSchema = z.object({
  'content-range': z
    .string()
    .transform((text, context) => {
      const [, first, last, size] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(text) ?? [];
      const [offset, end, sizeBytes] = [Number(first), Number(last) + 1, Number(size)];
      if (first !== undefined && offset < end && end === sizeBytes) return { offset, sizeBytes };
      context.addIssue('Content-Range must be "bytes FIRST-LAST/SIZE", up to the last byte of the content.');
      return z.NEVER;
    })
    .optional()
    .describe(
      '`bytes FIRST-LAST/SIZE`: go on where an upload was cut, at the `Upload-Offset` that GET and HEAD answer.',
    ),
  'content-length': z.coerce.number().int().optional().describe('Bytes of the body.'),
});

const limit = z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE).describe('Rows of a page.');

/** A page ends with a `nextCursor`; asking with it as `cursor` gives the page after it. */
export const buildsQuerySchema = z.strictObject({
  limit,
  cursor: cursorOf(z.tuple([z.int(), z.string()])),
});

export const imagesQuerySchema = z.strictObject({
  limit,
  cursor: cursorOf(z.tuple([imageNameSchema.shape.namedAt, z.string()])),
  module: z.string().optional().describe('Only the versions of this module.'),
});

export const removalQuerySchema = z.strictObject({
  force: flag.describe('Remove it also when it has a tag, or when others stand on it.'),
});

export const exportQuerySchema = z.strictObject({
  wait: flag.describe('Answer when it has moved on, or after some seconds.'),
});

export const continueQuerySchema = z.strictObject({
  layerBuild: z
    .string()
    .optional()
    .describe('The work that the VM belongs to, where a build has several of that name.'),
  answer: keptAnswerSchema
    .optional()
    .describe('What becomes of a failed step whose machine is kept: `retry` (the default), `skip` or `release`.'),
});

export const vmQuerySchema = z.strictObject({
  layerBuild: z
    .string()
    .optional()
    .describe('The work that the VM belongs to, where a build has several of that name.'),
});

export const eventsQuerySchema = z.strictObject({
  follow: z.stringbool().default(true).describe('Whether to go on until the build has finished.'),
});

export const serialQuerySchema = z.strictObject({ ...vmQuerySchema.shape, ...eventsQuerySchema.shape });

const lastEventId = (id: RegExp) =>
  z.string().regex(id, 'Last-Event-ID is no id of an event.').default('0').describe('Id of the event to go on after.');

/** The lines of a log that were stored together share an entry, and are numbered in it. */
export const eventsHeadersSchema = z.object({
  'last-event-id': lastEventId(/^\d{1,16}(-\d{1,16}(\/\d{1,6})?)?$/),
});

export const serialHeadersSchema = z.object({ 'last-event-id': lastEventId(/^\d{1,16}(-\d{1,16})?$/) });

/** A position in a list as clients hand it back: not for reading. */
export function writeCursor(position: readonly [string | number, string]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

function cursorOf<T>(schema: z.ZodType<T>) {
  return z
    .string()
    .max(512)
    .transform((text, context): T => {
      const position = schema.safeParse(parseJson(Buffer.from(text, 'base64url').toString()));
      if (position.success) return position.data;
      context.addIssue('This is no cursor of a page.');
      return z.NEVER;
    })
    .optional()
    .describe('The `nextCursor` of the page before.');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
