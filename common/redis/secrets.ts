import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type SecretView, secretViewSchema } from '../contracts/secrets.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A value to be kept. */
export interface SecretOrder {
  readonly name: string;
  /** The value sealed with the farm key: the only form that may reach Redis. */
  readonly sealed: string;
  /** Name of the token that sets it. */
  readonly setBy: string;
}

/** Stores a value, replacing the former one; `isNew`: no former value existed. @throws RedisUnavailable */
export async function setSecret(
  redis: Redis,
  { name, sealed, setBy }: SecretOrder,
): Promise<{ readonly view: SecretView; readonly isNew: boolean }> {
  const reply = await runScript(redis, 'set-secret', [name, sealed, setBy]);
  const [setAt, isNew] = z.tuple([z.int(), z.int()]).parse(reply);
  return { view: { name, setBy, setAt }, isNew: isNew === 1 };
}

/** False when there is none of that name. @throws RedisUnavailable */
export async function removeSecret(redis: Redis, name: string): Promise<boolean> {
  return (await runScript(redis, 'remove-secret', [name])) === 1;
}

/** Descriptions of all secrets, by name. @throws RedisUnavailable */
export async function readSecrets(redis: Redis): Promise<SecretView[]> {
  const stored = Object.entries(await readRedis(redis.hgetall(KEYS.secrets)));
  const views = stored.map(([name, text]) => secretViewSchema.parse({ name, ...JSON.parse(text) }));
  return views.toSorted((a, b) => a.name.localeCompare(b.name));
}

export async function readSecretNames(redis: Redis): Promise<string[]> {
  return readRedis(redis.hkeys(KEYS.secrets));
}

/** The sealed values of those that there are. @throws RedisUnavailable */
export async function readSealedSecrets(redis: Redis, names: readonly string[]): Promise<Map<string, string>> {
  if (names.length === 0) return new Map();
  const values = await readRedis(redis.hmget(KEYS.sealedSecrets, ...names));
  return new Map(names.flatMap((name, index) => (values[index] ? [[name, values[index]] as const] : [])));
}
