import type { Redis } from 'ioredis';
import { BOOTSTRAP_TOKEN } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { createSignInCode } from '../../common/redis/sessions.ts';
import { createToken, readTokens, revokeToken } from '../../common/redis/tokens.ts';
import { audit } from './audit.ts';
import { credentialOf } from './authentication.ts';
import type { Handlers } from './handler.ts';

/** Tokens: one's own, and all of them for admins; the guard refuses all others. */
export function tokenHandlers({ redis }: { readonly redis: Redis }) {
  return {
    readIdentity({ who: { name, role } }) {
      return { status: 200, body: { name, role } };
    },

    async createSignInCode({ request, response }) {
      const { code, lifetimeMs } = await createSignInCode(redis, credentialOf(request).tokenHash);
      audit(response, { outcome: 'created' });
      response.set('cache-control', 'no-store');
      return { status: 201, body: { code, lifetimeMs } };
    },

    async createToken({ body: { name, role, expires }, who, response }) {
      if (name === BOOTSTRAP_TOKEN) throw new FarmError('NameTaken', `"${name}" is the token of the configuration.`);
      const created = await createToken(redis, { name, role, createdBy: who.name, lifetimeMs: expires });
      audit(response, { outcome: 'created', subject: created.name, subjectRole: role });
      response.set('cache-control', 'no-store');
      return { status: 201, body: created };
    },

    async listTokens() {
      return { status: 200, body: { tokens: await readTokens(redis) } };
    },

    async revokeToken({ params: { name }, response }) {
      const solve = '`slipway token list` lists the tokens.';
      if (!(await revokeToken(redis, name)))
        throw new FarmError('NotFound', `Token "${name}" not found.`, { details: { solve } });
      audit(response, { outcome: 'revoked', subject: name });
    },
  } satisfies Partial<Handlers>;
}
