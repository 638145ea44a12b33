import { readFileSync } from 'node:fs';
import { FarmError, wrapError } from '../errors/farm-error.ts';

const SHORTEST = 16;

/** The token in a file of the configuration. @throws InvalidConfig when it cannot be read, or guessed too easily */
export function loadToken(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw wrapError(error, 'Reading the token', 'InvalidConfig');
  }
  if (token.length >= SHORTEST) return token;
  throw new FarmError('InvalidConfig', `The token in ${file} is shorter than ${SHORTEST} characters.`);
}
