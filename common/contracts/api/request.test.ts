import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { tokenRequestSchema } from '../tokens.ts';
import {
  buildsQuerySchema,
  imagesQuerySchema,
  removalQuerySchema,
  submissionQuerySchema,
  writeCursor,
} from './parameters.ts';
import { addressOf, readAnswer, readMessage } from './request.ts';

const EVENT = { event: 'build-accepted', buildId: 'b', modules: ['a'], time: '2026-01-02T03:04:05.678Z' };

describe('what clients send', () => {
  it.each([
    [addressOf('readBuild', { params: { id: 'a/b c' } }), '/api/v1/builds/a%2Fb%20c'],
    [addressOf('listBuilds', { query: { limit: 5, cursor: undefined } }), '/api/v1/builds?limit=5'],
    [addressOf('listBuilds', {}), '/api/v1/builds'],
    [
      addressOf('submitBuild', { query: { only: '', pauseBefore: ['1', 'vm/2'] } }),
      '/api/v1/builds?pauseBefore=1&pauseBefore=vm%2F2',
    ],
    [addressOf('untagImage', { params: { module: 'base', tag: 'v1' } }), '/api/v1/images/base/tags/v1'],
  ])('is asked for at %s', (address, expected) => {
    expect(address).toBe(expected);
  });
});

describe('what clients read', () => {
  it('is read by the schema of its status', () => {
    const read = readAnswer('cancelBuild', 202, { buildId: 'b', cancelled: true, later: 1 });
    expect(read).toEqual({ value: { buildId: 'b', cancelled: true } });
    expect(readAnswer('untagImage', 204, undefined)).toEqual({ value: undefined });
  });

  it('is refused when it is of another shape or status', () => {
    expect(readAnswer('cancelBuild', 202, { buildId: 'b' })).toEqual({
      complaint: expect.stringContaining('cancelled'),
    });
    expect(readAnswer('cancelBuild', 200, { buildId: 'b', cancelled: true })).toHaveProperty('complaint');
  });

  it('is one event at a time of a stream', () => {
    expect(readMessage('streamEvents', EVENT)).toEqual({ value: EVENT });
    expect(readMessage('streamEvents', { ...EVENT, time: undefined })).toHaveProperty('complaint');
    expect(readMessage('streamSerial', EVENT)).toHaveProperty('complaint');
  });
});

const input = (schema: z.ZodType) => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });

describe('what is declared', () => {
  it('is a boolean as one of two words, with its default', () => {
    const { properties = {} } = input(removalQuerySchema);
    expect(properties['force']).toMatchObject({ enum: ['true', 'false'], default: 'false' });
    expect(removalQuerySchema.parse({ force: 'true' })).toEqual({ force: true });
    expect(removalQuerySchema.parse({})).toEqual({ force: false });
    expect(removalQuerySchema.safeParse({ force: 'yes' }).success).toBe(false);
  });

  it.each([
    [buildsQuerySchema, [1_759_000_000_000, '01KV0000000000000000ABCDEF']],
    [imagesQuerySchema, ['2026-01-02T03:04:05.678Z', 'base-1:42']],
  ] as const)('is a cursor as a pattern that what is answered has', (schema, [time, name]) => {
    const cursor = writeCursor([time, name]);
    expect(schema.parse({ cursor }).cursor).toEqual([String(time), name]);
    const { pattern = '' } = Object(input(schema).properties?.['cursor']);
    expect(cursor).toMatch(new RegExp(pattern));
    expect(schema.safeParse({ cursor: 'nonsense' }).success).toBe(false);
  });

  it.each(['1d', '30d', '999999w', '12h', '1h30m', '.5s', '1.h', '0.1ns', '99999999h99999999h99999999h'])(
    'is a life of a token such as %s',
    (expires) => {
      const { pattern = '', maxLength = 0 } = Object(input(tokenRequestSchema).properties?.['expires']);
      expect(expires.length).toBeLessThanOrEqual(maxLength);
      expect(expires).toMatch(new RegExp(pattern));
      const { expires: ms = 0 } = tokenRequestSchema.parse({ role: 'viewer', expires });
      expect(ms).toBeGreaterThan(0);
      expect(new Date(Date.now() + ms).getTime()).not.toBeNaN();
    },
  );

  it.each(['0s', '0d', '2 weeks', '', '30', '1000000d', '999999999h', `${'1h'.repeat(20)}`])(
    'is not a life of a token: "%s"',
    (expires) => {
      const { pattern = '', maxLength = 0 } = Object(input(tokenRequestSchema).properties?.['expires']);
      expect(expires.length > maxLength || !new RegExp(pattern).test(expires)).toBe(true);
      expect(tokenRequestSchema.safeParse({ role: 'viewer', expires }).success).toBe(false);
    },
  );

  it('is how long a machine is kept, up to a day', () => {
    const kept = (onError: string) => submissionQuerySchema.safeParse({ onError }).data?.onError;
    expect(
      [undefined, 'abort', 'keep', 'keep=30m', 'keep=24h'].map(
        (text) => submissionQuerySchema.parse({ onError: text }).onError,
      ),
    ).toEqual([null, null, 7_200_000, 1_800_000, 86_400_000]);
    expect(['keep=25h', 'keep=', 'keep=0s', 'none'].map(kept)).toEqual([undefined, undefined, undefined, undefined]);
  });
});

it('explains how to write a lifetime that cannot be parsed', () => {
  const { error } = tokenRequestSchema.safeParse({ role: 'viewer', expires: '2 weeks' });
  expect(error?.issues[0]?.message).toBe('"2 weeks" is not a duration: write "336h", or "30d" for days.');
});
