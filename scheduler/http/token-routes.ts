import { json, Router } from 'express';
import type { Redis } from 'ioredis';
import { BOOTSTRAP_TOKEN, tokenRequestSchema } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { createSignInCode } from '../../common/redis/sessions.ts';
import { createToken, readTokens, revokeToken } from '../../common/redis/tokens.ts';
import { audit } from './audit.ts';
import { credentialOf, principalOf } from './authentication.ts';

const BODY_LIMIT = '16kb';

/** Tokens: one's own, and all of them for admins; the guard lets nobody else in. */
export function tokenRoutes({ redis }: { readonly redis: Redis }): Router {
  const router = Router();

  router.get('/whoami', (request, response) => {
    const { name, role } = principalOf(request);
    response.json({ name, role });
  });

  router.post('/sign-in-codes', async (request, response) => {
    const { code, lifetimeMs } = await createSignInCode(redis, credentialOf(request).tokenHash);
    audit(response, { outcome: 'created' });
    response.status(201).set('cache-control', 'no-store').json({ code, lifetimeMs });
  });

  router.post('/tokens', json({ limit: BODY_LIMIT }), async (request, response) => {
    const { name, role, expires } = tokenRequestSchema.parse(request.body);
    if (name === BOOTSTRAP_TOKEN) throw new FarmError('NameTaken', `"${name}" is the token of the configuration.`);
    const createdBy = principalOf(request).name;
    const created = await createToken(redis, { name, role, createdBy, lifetimeMs: expires });
    audit(response, { outcome: 'created', subject: created.name, subjectRole: role });
    response.status(201).set('cache-control', 'no-store').json(created);
  });

  router.get('/tokens', async (_request, response) => {
    response.json({ tokens: await readTokens(redis) });
  });

  router.delete('/tokens/:name', async (request, response) => {
    const { name } = request.params;
    if (!(await revokeToken(redis, name))) throw new FarmError('NotFound', `There is no token "${name}".`);
    audit(response, { outcome: 'revoked', subject: name });
    response.status(204).end();
  });
  return router;
}
