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
  const message = `The token in ${file} has ${token.length} characters, and at least ${SHORTEST} are needed.`;
  throw new FarmError('InvalidConfig', message, { details: { solve: 'Write another one: `openssl rand -hex 32`.' } });
}
