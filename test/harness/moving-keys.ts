import type { Redis } from 'ioredis';

const MOVING =
  /:(ready|lanes|ahead|layers-of|shapes|waiting|tasks|wants|submission|staged|delayed|placed|outbox|imports|slots|building|living|children|deadlines|needed-by)(:|$)/;

/** Keys of the farm's state that hold nothing any more when every work has ended: those that are left. */
export async function movingKeys(redis: Redis): Promise<string[]> {
  return (await redis.keys('*')).filter((key) => MOVING.test(key));
}
