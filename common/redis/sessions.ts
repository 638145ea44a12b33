import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';
import { hashToken } from './tokens.ts';

const RANDOM_BYTES = 32;
/** How long a link that signs in can be used. */
const CODE_MS = 15 * 60_000;

/** A code that signs a browser in, once. */
export interface SignInCode {
  readonly code: string;
  readonly lifetimeMs: number;
}

/*
 * Sessions of browsers, and the codes that begin them. Both are random, kept as their SHA-256 only, and stand for the hash of
 * a token: when that is revoked, they are invalid.
 */

/** Makes a code for the token of this hash. @throws RedisUnavailable */
export async function createSignInCode(redis: Redis, tokenHash: string): Promise<SignInCode> {
  return { code: await keep(redis, KEYS.signInCode, { tokenHash, lifetimeMs: CODE_MS }), lifetimeMs: CODE_MS };
}

/** The hash of the token that a code stands for; null when it was used, or is too old. @throws RedisUnavailable */
export function useSignInCode(redis: Redis, code: string): Promise<string | null> {
  return readRedis(redis.getdel(KEYS.signInCode(hashToken(code))));
}

/** Begins a session for the token of this hash, and returns its secret. @throws RedisUnavailable */
export function beginSession(redis: Redis, tokenHash: string, lifetimeMs: number): Promise<string> {
  return keep(redis, KEYS.session, { tokenHash, lifetimeMs });
}

/** The hash of the token of a session; null when it has ended. @throws RedisUnavailable */
export function findSession(redis: Redis, secret: string): Promise<string | null> {
  return readRedis(redis.get(KEYS.session(hashToken(secret))));
}

/** @throws RedisUnavailable */
export async function endSession(redis: Redis, secret: string): Promise<void> {
  await readRedis(redis.del(KEYS.session(hashToken(secret))));
}

async function keep(
  redis: Redis,
  keyOf: (hash: string) => string,
  { tokenHash, lifetimeMs }: { readonly tokenHash: string; readonly lifetimeMs: number },
): Promise<string> {
  const secret = randomBytes(RANDOM_BYTES).toString('base64url');
  await readRedis(redis.set(keyOf(hashToken(secret)), tokenHash, 'PX', lifetimeMs));
  return secret;
}
