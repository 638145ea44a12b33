import type { Request } from 'express';
import type { Clock } from '../../common/clock/clock.ts';
import { lookAgain } from '../../common/lifecycle/look-again.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { atNotices, type Notices } from '../../common/redis/notices.ts';
import { type Credential, principalOf } from './authentication.ts';
import type { Admit } from './limits.ts';

/** Tokens expire and browsers sign out without a notice. */
const LOOK_MS = 30_000;

/** How it is known that a caller may no longer call. */
export interface ValidityOptions {
  /** The caller of a request; null when its token or session has ended since. */
  find(request: Request): Promise<Credential | null>;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Admits lasting requests as `admit` does, and cuts each when the token or session that it came with has ended. */
export function whileValid(admit: Admit, { find, notices, clock, logger }: ValidityOptions): Admit {
  return (lasting, request) => {
    admit(lasting, request);
    if (lasting.destroyed) return;
    const { name } = principalOf(request);
    const closed = new AbortController();
    lasting.once('close', () => closed.abort());
    const look = async () => {
      // Where that cannot be known now, the next look decides.
      const found = await find(request).catch(() => undefined);
      if (found === null && !closed.signal.aborted) {
        logger.info({ who: name }, 'A request is cut: its token or session has ended');
        lasting.destroy();
      }
      return null;
    };
    const wake = [atNotices(notices, (notice) => notice.kind === 'revoked' && notice.token === name)];
    void lookAgain({ what: 'Looking at a token', look, everyMs: LOOK_MS, wake, clock, logger }, closed.signal);
  };
}
