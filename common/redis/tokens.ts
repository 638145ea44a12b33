import { hash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import {
  type CreatedToken,
  type Identity,
  roleSchema,
  type TokenRole,
  type TokenView,
  tokenViewSchema,
} from '../contracts/tokens.ts';
import { FarmError } from '../errors/farm-error.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** Makes a leaked token easy to find by scanners of secrets. */
const PREFIX = 'slipway_';
const TOKEN_BYTES = 32;

/** The caller. */
export type Principal = Readonly<Identity>;

/** A token to be made. */
export interface TokenOrder {
  readonly name?: string | undefined;
  readonly role: TokenRole;
  /** Name of the token that asks for it. */
  readonly createdBy: string;
  /** Without end when absent. */
  readonly lifetimeMs?: number | undefined;
}

/** Makes a token. Only its SHA-256 is kept: 256 random bits need no slower hash. @throws NameTaken, RedisUnavailable */
export async function createToken(redis: Redis, order: TokenOrder): Promise<CreatedToken> {
  const { role, createdBy, lifetimeMs = 0 } = order;
  const token = `${PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`;
  const name = order.name ?? `${role}-${randomBytes(4).toString('hex')}`;
  const args = [name, hashToken(token), role, createdBy, lifetimeMs];
  const createdAt = z.int().parse(await runScript(redis, 'create-token', args));
  if (createdAt === 0) throw new FarmError('NameTaken', `The token "${name}" already exists.`);
  const expiresAt = lifetimeMs > 0 ? createdAt + lifetimeMs : null;
  return { token, name, role, createdAt, createdBy, expiresAt, lastUsedAt: null };
}

/** Whether a text has the form of a token: others are never looked up. */
export function isTokenLike(text: string): boolean {
  return text.length === PREFIX.length + Math.ceil((TOKEN_BYTES * 8) / 6) && text.startsWith(PREFIX);
}

/** Whose token it is by its hash, noting its use; null when it is unknown, revoked or expired. @throws RedisUnavailable */
export async function findPrincipal(redis: Redis, tokenHash: string): Promise<Principal | null> {
  const reply = z
    .tuple([z.string(), roleSchema])
    .nullable()
    .parse(await runScript(redis, 'use-token', [tokenHash]));
  return reply && { name: reply[0], role: reply[1] };
}

/** The tokens that are valid, by name. @throws RedisUnavailable */
export async function readTokens(redis: Redis): Promise<TokenView[]> {
  const hashes = await readRedis(redis.hgetall(KEYS.tokens));
  const tokens = await Promise.all(Object.values(hashes).map((hash) => readRedis(redis.hgetall(KEYS.token(hash)))));
  return tokens.flatMap((fields) => readToken(fields) ?? []).toSorted((a, b) => a.name.localeCompare(b.name));
}

/** Refuses a token from now on. False when there is none of that name. @throws RedisUnavailable */
export async function revokeToken(redis: Redis, name: string): Promise<boolean> {
  return (await runScript(redis, 'revoke-token', [name])) === 1;
}

/** SHA-256, in hexadecimal. */
export function hashToken(token: string): string {
  return hash('sha256', token);
}

function readToken(fields: Readonly<Record<string, string>>): TokenView | null {
  // Expired: only its name is left.
  if (!fields['name']) return null;
  const time = (field: string) => (fields[field] === undefined ? null : Number(fields[field]));
  return tokenViewSchema.parse({
    name: fields['name'],
    role: fields['role'],
    createdBy: fields['createdBy'],
    createdAt: time('createdAt'),
    expiresAt: time('expiresAt'),
    lastUsedAt: time('lastUsedAt'),
  });
}
