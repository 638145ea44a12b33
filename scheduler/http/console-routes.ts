import { type RequestHandler, Router } from 'express';
import type { Redis } from 'ioredis';
import { createWebSocketStream } from 'ws';
import type { Clock } from '../../common/clock/clock.ts';
import { webSockets } from '../../common/console/console-link.ts';
import { keepSocketAlive } from '../../common/console/socket-life.ts';
import { continueQuerySchema, vmQuerySchema } from '../../common/contracts/api/parameters.ts';
import { includesRole } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { StoredWork } from '../../common/redis/builds.ts';
import { continueHandbuild } from '../../common/redis/handbuilds.ts';
import { type ConsoleKind, SCREEN, SERIAL } from '../console/console-kinds.ts';
import type { ConsoleRelays } from '../console/console-relays.ts';
import { audit } from './audit.ts';
import { principalOf } from './authentication.ts';
import { noSuchVm, notWaiting, onlyWork, waitingWork, worksWithVm } from './build-works.ts';
import type { Admit } from './limits.ts';
import { isUpgrade, takeUpgrade } from './upgrades.ts';

/** What the routes work with. */
export interface ConsoleRoutesOptions {
  readonly redis: Redis;
  readonly consoles: ConsoleRelays;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts what lasts until it is closed. @throws TooManyRequests */
  readonly admit: Admit;
}

/** Consoles of VMs for people, and the word that a step waits for. */
export function consoleRoutes(options: ConsoleRoutesOptions): Router {
  const { redis, admit, consoles, clock, logger } = options;
  const router = Router();
  const sockets = webSockets();

  const open = (kind: ConsoleKind): RequestHandler<{ id: string; vm: string }> => {
    return async (request, response) => {
      const { id, vm } = request.params;
      const { layerBuild } = vmQuerySchema.parse(request.query);
      const works = await worksWithVm(redis, { id, vm, layerBuild });
      const work = onlyWork(works.length > 1 ? works.filter(isLiving) : works, vm);
      if (!work) throw noSuchVm(id, vm);
      if (!isLiving(work)) throw consoleIsOver(id, vm);
      if (!isUpgrade(request))
        throw new FarmError('InvalidRequest', 'A console is a WebSocket with the subprotocol "binary".');
      admit(request.socket, request);
      const who = principalOf(request);
      const upgrade = takeUpgrade(request);
      if (!upgrade) return void response.destroy();
      const about = { build: id, vm, layerBuild: work.id, console: kind.stream, who: who.name, role: who.role };
      logger.info(about, 'A console was opened');
      sockets.handleUpgrade(upgrade.request, upgrade.socket, upgrade.head, (socket) => {
        void keepSocketAlive(socket, clock);
        consoles.attach(
          createWebSocketStream(socket),
          { kind, vm: { cluster: work.cluster, layerBuild: work.id, vm } },
          {
            name: `${work.spec.module.name}/${vm}`,
            mayType: includesRole(who.role, 'builder'),
            onEnd: (cause) => logger.info({ ...about, err: cause }, 'A console is closed'),
          },
        );
      });
    };
  };

  router.get('/builds/:id/vms/:vm/vnc', open(SCREEN));
  router.get('/builds/:id/vms/:vm/serial-console', open(SERIAL));

  router.post('/builds/:id/vms/:vm/continue', async (request, response) => {
    const { id, vm } = request.params;
    const { layerBuild, answer } = continueQuerySchema.parse(request.query);
    const work = await waitingWork(redis, { id, vm, layerBuild });
    const step = await continueHandbuild(redis, work.id, { vm, answer });
    if (step === null) throw notWaiting(vm);
    audit(response, { outcome: answer ?? 'continued', subject: `${vm}/${step}` });
    response.status(202).json({ buildId: id, vm, step });
  });
  return router;
}

function isLiving({ finishedAt }: StoredWork): boolean {
  return finishedAt === null;
}

function consoleIsOver(id: string, vm: string): FarmError {
  const solve = `What the machine said at its serial port is kept: \`slipway logs ${id} --serial\`.`;
  return new FarmError('NotFound', `The work on VM "${vm}" has ended: there is no console.`, { details: { solve } });
}
