import { Router, raw } from 'express';
import type { Redis } from 'ioredis';
import type { FarmKey } from '../../common/config/sealing.ts';
import { MAX_SECRET_BYTES, readSecretValue, secretNameSchema } from '../../common/contracts/secrets.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readSecrets, removeSecret, setSecret } from '../../common/redis/secrets.ts';
import { audit } from './audit.ts';
import { principalOf } from './authentication.ts';

/** What the routes work with. */
export interface SecretRoutesOptions {
  readonly redis: Redis;
  /** Under which values are kept. */
  readonly farmKey: FarmKey;
}

/** Secrets: they go in, and only workers get them out. */
export function secretRoutes({ redis, farmKey }: SecretRoutesOptions): Router {
  const router = Router();

  // Not as JSON: what a parser says about a broken body quotes it.
  router.put('/secrets/:name', raw({ type: () => true, limit: MAX_SECRET_BYTES }), async (request, response) => {
    const name = secretNameSchema.parse(request.params['name']);
    const sealed = farmKey.seal(secretValue(request.body));
    const { view, isNew } = await setSecret(redis, { name, sealed, setBy: principalOf(request).name });
    audit(response, { outcome: isNew ? 'created' : 'replaced', subject: name });
    response.status(isNew ? 201 : 200).json(view);
  });

  router.get('/secrets', async (_request, response) => {
    response.json({ secrets: await readSecrets(redis) });
  });

  router.delete('/secrets/:name', async (request, response) => {
    const { name } = request.params;
    if (!(await removeSecret(redis, name))) throw new FarmError('NotFound', `There is no secret "${name}".`);
    audit(response, { outcome: 'removed', subject: name });
    response.status(204).end();
  });
  return router;
}

/** The body as it was sent; undefined, or an empty object, where there was none. */
function secretValue(body: unknown): string {
  const read = readSecretValue(Buffer.isBuffer(body) ? body : Buffer.alloc(0));
  if ('complaint' in read) throw new FarmError('InvalidRequest', `The value ${read.complaint}.`);
  return read.value;
}
