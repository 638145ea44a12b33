import type { Redis } from 'ioredis';
import { createWebSocketStream } from 'ws';
import type { Clock } from '../../common/clock/clock.ts';
import { webSockets } from '../../common/console/console-link.ts';
import { keepSocketAlive } from '../../common/console/socket-life.ts';
import { mayEnter } from '../../common/contracts/tokens.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { continueHandbuild } from '../../common/redis/handbuilds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { type ConsoleKind, SCREEN, SERIAL } from '../console/console-kinds.ts';
import type { ConsoleRelays } from '../console/console-relays.ts';
import { audit } from './audit.ts';
import type { Call, Handlers } from './handler.ts';
import {
  type LoadedBuild,
  loadBuild,
  loadOwnBuild,
  noSuchVm,
  notWaiting,
  onlyLayerBuild,
  thoseWithVm,
  type VmOfBuild,
  waitingLayerBuild,
} from './layer-builds.ts';
import type { Admit } from './limits.ts';
import { isUpgrade, takeUpgrade } from './upgrades.ts';

/** Dependencies of the handlers. */
export interface ConsoleHandlersOptions {
  readonly redis: Redis;
  readonly consoles: ConsoleRelays;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts what lasts until it is closed. @throws TooManyRequests */
  readonly admit: Admit;
}

type ConsoleCall = Pick<Call<'openConsole'>, 'params' | 'query' | 'who' | 'request' | 'response'>;

/** Consoles of VMs for people, and the word that a step waits for. */
export function consoleHandlers(options: ConsoleHandlersOptions) {
  const { redis, admit, consoles, clock, logger } = options;
  const sockets = webSockets();

  const open = (kind: ConsoleKind) => {
    return async ({ params: { id, vm }, query, who, request, response }: ConsoleCall): Promise<undefined> => {
      const loaded = await loadBuild(redis, id);
      const stored = livingLayerBuild(loaded, { id, vm, layerBuild: query.layerBuild });
      if (!isUpgrade(request))
        throw new FarmError('InvalidRequest', 'A console is a WebSocket with the subprotocol "binary".');
      admit(request.socket, request);
      const upgrade = takeUpgrade(request);
      if (!upgrade) return void response.destroy();
      const about = { build: id, vm, layerBuild: stored.id, console: kind.stream, who: who.name, role: who.role };
      logger.info(about, 'A console was opened');
      sockets.handleUpgrade(upgrade.request, upgrade.socket, upgrade.head, (socket) => {
        void keepSocketAlive(socket, clock);
        consoles.attach(
          createWebSocketStream(socket),
          { kind, vm: { cluster: stored.cluster, layerBuild: stored.id, vm } },
          {
            name: `${stored.spec.module.name}/${vm}`,
            mayType: mayEnter(who, loaded.build),
            onEnd: (cause) => logger.info({ ...about, err: cause }, 'A console is closed'),
          },
        );
      });
    };
  };

  return {
    openConsole: open(SCREEN),
    openSerialConsole: open(SERIAL),

    async continueHandbuild({ params: { id, vm }, query: { layerBuild, answer }, who, response }) {
      await loadOwnBuild(redis, id, who);
      const stored = await waitingLayerBuild(redis, { id, vm, layerBuild });
      const step = await continueHandbuild(redis, stored.id, { vm, answer });
      if (step === null) throw notWaiting(vm);
      audit(response, { outcome: answer ?? 'continued', subject: `${vm}/${step}` });
      return { status: 202, body: { buildId: id, vm, step } };
    },
  } satisfies Partial<Handlers>;
}

/** The layer build whose machine has a console. @throws NotFound when there is none, or it has ended */
function livingLayerBuild(loaded: LoadedBuild, place: VmOfBuild): StoredLayerBuild {
  const { id, vm } = place;
  const layerBuilds = thoseWithVm(loaded, place);
  const stored = onlyLayerBuild(layerBuilds.length > 1 ? layerBuilds.filter(isLiving) : layerBuilds, vm);
  if (!stored) throw noSuchVm(id, vm);
  if (!isLiving(stored)) throw consoleIsOver(id, vm);
  return stored;
}

function isLiving({ finishedAt }: StoredLayerBuild): boolean {
  return finishedAt === null;
}

function consoleIsOver(id: string, vm: string): FarmError {
  const solve = `The serial output of the machine is kept: \`slipway logs ${id} --serial\`.`;
  return new FarmError('NotFound', `VM "${vm}" has no console: its layer build has ended.`, { details: { solve } });
}
