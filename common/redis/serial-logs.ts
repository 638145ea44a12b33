import type { Redis } from 'ioredis';
import type { SerialPiece } from '../contracts/serial.ts';
import { KEYS } from './keys.ts';
import { readRedis } from './scripts.ts';

/** Ends a blocking read now and then, so that a connection that is dead in silence is noticed. */
const BLOCK_MS = 15_000;
const COUNT = 200;

/** Whose serial port is read, and after which piece (`0`: from the first one that is kept). */
export interface SerialPosition {
  readonly layerBuild: string;
  readonly vm: string;
  readonly lastId: string;
}

/**
 * The live serial output of a machine, until its layer build has ended, or `signal`. Needs a connection of its
 * own (role `listener`): it is blocked while waiting. Null: no output for a while.
 * @throws RedisUnavailable
 */
export async function* followSerial(
  redis: Redis,
  { layerBuild, vm, lastId }: SerialPosition,
  signal: AbortSignal,
): AsyncGenerator<SerialPiece | null> {
  const key = KEYS.layerBuildSerial(layerBuild, vm);
  for (let after = lastId; !signal.aborted; ) {
    const reply = await readRedis(redis.xread('COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', key, after));
    const entries = reply?.[0]?.[1] ?? [];
    for (const [id, fields] of entries) {
      after = id;
      const piece = readPiece(id, fields);
      yield piece;
      if (piece.ended) return;
    }
    if (entries.length === 0) yield null;
  }
}

/** The output kept so far, on any connection. @throws RedisUnavailable */
export async function readSerial(redis: Redis, { layerBuild, vm, lastId }: SerialPosition): Promise<SerialPiece[]> {
  const entries = await readRedis(redis.xrange(KEYS.layerBuildSerial(layerBuild, vm), `(${lastId}`, '+'));
  return entries.map(([id, fields]) => readPiece(id, fields));
}

/** How far the log of a machine was read: bytes from the beginning. @throws RedisUnavailable */
export async function readSerialPosition(
  redis: Redis,
  layerBuild: string,
  vm: string,
  vmiUid: string,
): Promise<number> {
  const known = await readRedis(redis.hget(KEYS.layerBuildSerials(layerBuild), `${vm}/position`));
  const [uid, bytes] = (known ?? '').split(' ');
  return uid === vmiUid ? Number(bytes) : 0;
}

function readPiece(id: string, fields: readonly string[]): SerialPiece {
  const lines = fields[fields.indexOf('lines') + 1];
  const time = new Date(Number(id.split('-')[0])).toISOString();
  return { id, time, lines: JSON.parse(lines ?? '[]'), ended: fields.includes('ended') };
}
