import { z } from 'zod';
import { parseAge, parseDuration } from '../contracts/module/duration.ts';
import type { Parsed } from '../contracts/module/parsed.ts';
import { parseBytes } from '../contracts/module/sizes.ts';

/** Option that is written as a duration (`30m`, or `0`) and read as milliseconds. */
export const durationOption = readBy((text) => (text === '0' ? { value: 0 } : parseDuration(text)));

/** The same, where days (`30d`) and weeks (`2w`) are written too. */
export const ageOption = readBy((text) => (text === '0' ? { value: 0 } : parseAge(text)));

/** Option that is written as a quantity (`4Gi`) and read as bytes. */
export const bytesOption = readBy(parseBytes);

function readBy<T>(parse: (text: string) => Parsed<T>) {
  return z.string().transform((text, context): T => {
    const parsed = parse(text);
    if ('value' in parsed) return parsed.value;
    context.addIssue(parsed.complaint);
    return z.NEVER;
  });
}

/** A whole number of at least 1. */
export const count = z.coerce.number().int().min(1);

/** A TCP port; 0 takes a free one. */
export const port = z.coerce.number().int().min(0).max(65535);
