import { randomInt } from 'node:crypto';
import { ApiError } from './api-error.ts';
import type { ObjectMeta } from './objects.ts';

/** The letters of generated names: no vowels, so no words (apimachinery's `rand.String`). */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
/** apiserver's limit for the part that the caller chooses. */
const MAX_PREFIX_LENGTH = 58;

/** Five random letters and digits. */
export function randomSuffix(): string {
  return Array.from({ length: SUFFIX_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** Makes a name of `generateName` where no name was given. @throws ApiError 422 when there is neither */
export function withGeneratedName(metadata: ObjectMeta): ObjectMeta {
  if (metadata.name) return metadata;
  if (!metadata.generateName) {
    throw new ApiError(422, 'Invalid', 'resource name may not be empty: name or generateName is required');
  }
  return { ...metadata, name: `${metadata.generateName.slice(0, MAX_PREFIX_LENGTH)}${randomSuffix()}` };
}
