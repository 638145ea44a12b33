import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { packagePath } from '../config/package-root.ts';
import { REDIS_PREFIX } from '../contracts/phases.ts';
import { wrapError } from '../errors/farm-error.ts';

const SCRIPTS = [
  'advertise',
  'cancel-build',
  'check',
  'claim',
  'commit',
  'console-lease',
  'continue',
  'create-token',
  'emit',
  'expire',
  'forget-layer',
  'lease',
  'pause',
  'redispatch',
  'remove-secret',
  'report-cluster',
  'restore-layer',
  'revoke-token',
  'serial',
  'set-secret',
  'submit',
  'take',
  'use-token',
] as const;

export type ScriptName = (typeof SCRIPTS)[number];

const FOLDER = packagePath('common', 'redis', 'scripts');

/** The scripts with their includes, read once a process. */
const sources = new Map<ScriptName, string>();

/**
 * Runs one script of `scripts/`; its header says arguments and reply. It is sent once a connection and called by its hash
 * afterwards.
 * @throws RedisUnavailable when the server cannot be reached, BrokenInvariant when the script itself fails.
 */
export async function runScript(redis: Redis, name: ScriptName, args: readonly (string | number)[]): Promise<unknown> {
  const command = `slipway:${name}`;
  const known = redis as unknown as Record<string, ((...args: (string | number)[]) => Promise<unknown>) | undefined>;
  if (known[command] === undefined) redis.defineCommand(command, { lua: sourceOf(name), numberOfKeys: 1 });
  try {
    return await known[command]?.call(redis, REDIS_PREFIX, ...args);
  } catch (error) {
    const broken =
      error instanceof Error &&
      error.name === 'ReplyError' &&
      !/^(LOADING|READONLY|OOM|MISCONF|BUSY)/.test(error.message);
    throw wrapError(error, `Redis script ${name}`, broken ? 'BrokenInvariant' : 'RedisUnavailable');
  }
}

/** Runs a reading command. @throws RedisUnavailable when it cannot be answered. */
export async function readRedis<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw wrapError(error, 'Reading from Redis', 'RedisUnavailable');
  }
}

/** `-- @include a b` puts these files of `include/` in its place, in that order. */
function sourceOf(name: ScriptName): string {
  const known = sources.get(name);
  if (known !== undefined) return known;
  const source = read(`${name}.lua`).replace(/^-- @include (.+)$/gm, (_line, parts: string) =>
    parts
      .split(' ')
      .map((part) => read(`include/${part}.lua`))
      .join('\n'),
  );
  sources.set(name, source);
  return source;
}

function read(file: string): string {
  return readFileSync(`${FOLDER}/${file}`, 'utf8');
}
