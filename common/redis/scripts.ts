import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { packagePath } from '../config/package-root.ts';
import { REDIS_PREFIX } from '../contracts/phases.ts';
import { FarmError, wrapError } from '../errors/farm-error.ts';

const SCRIPTS = [
  'abandon',
  'advance',
  'advertise',
  'cancel-build',
  'check',
  'claim',
  'commit',
  'console-lease',
  'continue',
  'control',
  'create-token',
  'due-sources',
  'emit',
  'expire',
  'forget-layer',
  'lease',
  'log',
  'pause',
  'redispatch',
  'remove-images',
  'remove-secret',
  'report-cluster',
  'report-trouble',
  'restore-layer',
  'retire-source',
  'revoke-token',
  'serial',
  'set-secret',
  'submit',
  'tag-image',
  'take',
  'untag-image',
  'use-source',
  'use-token',
] as const;

export type ScriptName = (typeof SCRIPTS)[number];

const FOLDER = packagePath('common', 'redis', 'scripts');

/** The scripts with their includes, read once a process. */
const sources = new Map<ScriptName, string>();

/**
 * Runs one script of `scripts/`; its header documents arguments and reply. It is sent once a connection and called by its hash
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
    throw redisError(error, `Redis script ${name}`);
  }
}

/** Awaits a command, or several. @throws RedisUnavailable when it cannot be answered. */
export async function readRedis<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw redisUnavailable(error);
  }
}

/** Error of a request that could not be answered. */
export function redisUnavailable(error: unknown): FarmError {
  return new FarmError('RedisUnavailable', sentenceOf(error), { cause: error });
}

/**
 * Transient errors of servers: during a failover or a restart, without enough replicas, out of memory or disk, busy
 * with another script. A server of version 6 wraps errors inside a script.
 */
const PASSING: Readonly<Record<string, string>> = {
  ASK: 'moves its keys between servers',
  BUSY: 'is busy with a script',
  CLUSTERDOWN: 'is a cluster that does not serve all hash slots',
  LOADING: 'is starting and still loads its data',
  MASTERDOWN: 'has lost its primary',
  MISCONF: 'cannot write to its disk',
  MOVED: 'has moved its keys to another server',
  NOREPLICAS: 'has too few replicas that are up to date',
  OOM: 'is out of memory',
  READONLY: 'is a read-only replica',
  TRYAGAIN: 'moves its keys between servers',
};

function passingWord(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  const words = [...error.message.matchAll(/(?:^|: -)([A-Z]+)\b/g)].map(([, word]) => word ?? '');
  return words.find((word) => Object.hasOwn(PASSING, word));
}

/** A permanent refusal (a script has a fault) is not waited for. */
function redisError(error: unknown, doing: string): FarmError {
  const isBroken = error instanceof Error && error.name === 'ReplyError' && passingWord(error) === undefined;
  if (isBroken) return wrapError(error, doing);
  return redisUnavailable(error);
}

/** Shown in answers and failures: the messages of Redis and its client stay in the cause. */
function sentenceOf(error: unknown): string {
  const word = passingWord(error);
  return `The Redis server of the farm ${word === undefined ? 'does not answer' : PASSING[word]}.`;
}

/**
 * Redis evaluates the whole text of a script at each call, also functions that this call never uses. `-- @include a b` puts these files
 * of `include/` in its place, in that order. `-- @later a b: f g` does so in a function `later`, which is evaluated when `f` or `g` of
 * those files is first called: most calls end before.
 */
function sourceOf(name: ScriptName): string {
  const known = sources.get(name);
  if (known !== undefined) return known;
  const source = read(`${name}.lua`)
    .replace(/^-- @include (.+)$/gm, (_line, parts: string) => included(parts))
    .replace(/^-- @later (.+): (.+)$/gm, (_line, parts: string, functions: string) =>
      later(parts, functions.split(' ')),
    );
  sources.set(name, source);
  return source;
}

function included(parts: string): string {
  return parts
    .split(' ')
    .map((part) => read(`include/${part}.lua`))
    .join('\n');
}

function later(parts: string, functions: readonly string[]): string {
  const table = functions.map((name) => `${name} = ${name}`).join(', ');
  const stubs = functions.map((name) => `local function ${name}(...) return later().${name}(...) end`);
  return [
    'local evaluated',
    'local function later()',
    'if evaluated then return evaluated end',
    included(parts),
    `evaluated = { ${table} }`,
    'return evaluated',
    'end',
    ...stubs,
  ].join('\n');
}

function read(file: string): string {
  return readFileSync(`${FOLDER}/${file}`, 'utf8');
}
