import type { Redis } from 'ioredis';
import type { FarmKey } from '../../common/config/sealing.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readSecrets, removeSecret, setSecret } from '../../common/redis/secrets.ts';
import { audit } from './audit.ts';
import type { Handlers } from './handler.ts';

/** Dependencies of the handlers. */
export interface SecretHandlersOptions {
  readonly redis: Redis;
  /** Under which values are kept. */
  readonly farmKey: FarmKey;
}

/** Secrets: they go in, and only workers get them out. */
export function secretHandlers({ redis, farmKey }: SecretHandlersOptions) {
  return {
    async setSecret({ params: { name }, body, who, response }) {
      const { view, isNew } = await setSecret(redis, { name, sealed: farmKey.seal(body), setBy: who.name });
      audit(response, { outcome: isNew ? 'created' : 'replaced', subject: name });
      return { status: isNew ? 201 : 200, body: view };
    },

    async listSecrets() {
      return { status: 200, body: { secrets: await readSecrets(redis) } };
    },

    async removeSecret({ params: { name }, response }) {
      const solve = '`slipway secret list` lists the secrets.';
      if (!(await removeSecret(redis, name)))
        throw new FarmError('NotFound', `Secret "${name}" not found.`, { details: { solve } });
      audit(response, { outcome: 'removed', subject: name });
    },
  } satisfies Partial<Handlers>;
}
