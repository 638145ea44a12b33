import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import type { Redis } from 'ioredis';
import { createWebSocketStream } from 'ws';
import type { Clock } from '../../common/clock/clock.ts';
import { webSockets } from '../../common/console/console-link.ts';
import { keepSocketAlive } from '../../common/console/socket-life.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { requireCluster } from '../../common/errors/require-cluster.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import { readHandbuild } from '../../common/redis/handbuilds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import type { Notices } from '../../common/redis/notices.ts';
import { openGuestPort, readLogin } from '../console/guest-access.ts';
import { audit } from './audit.ts';
import type { Call, Handlers } from './handler.ts';
import { loadOwnBuild, waitingLayerBuild } from './layer-builds.ts';
import type { Admit } from './limits.ts';
import { isUpgrade, takeUpgrade } from './upgrades.ts';

/** Dependencies of the handlers. */
export interface SshHandlersOptions {
  readonly redis: Redis;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts what lasts until it is closed. @throws TooManyRequests */
  readonly admit: Admit;
  clusterOf(name: string): ClusterClient | undefined;
}

/** SSH to machines on which a step waits for a person: the key of the build, and a byte stream to the guest's server. */
export function sshHandlers(options: SshHandlersOptions) {
  const { admit, clock, logger } = options;
  const sockets = webSockets();
  return {
    async readSshAccess(call) {
      const { params, response } = call;
      const { id, vm } = params;
      const stored = await layerBuildToEnter(options, call);
      const login = await readLogin(clusterWith(options, stored), stored, vm);
      audit(response, { outcome: 'given', subject: `${stored.spec.module.name}/${vm}` });
      response.set('cache-control', 'no-store');
      return { status: 200, body: { buildId: id, vm, layerBuild: stored.id, ...login } };
    },

    async openSsh(call) {
      const { params, who, request, response } = call;
      const { id, vm } = params;
      const stored = await layerBuildToEnter(options, call);
      if (!isUpgrade(request)) {
        throw new FarmError('InvalidRequest', 'SSH to a machine is a WebSocket with the subprotocol "binary".');
      }
      admit(request.socket, request);
      const ending = new AbortController();
      const leave = () => ending.abort(new FarmError('Cancelled', 'The client disconnected.'));
      if (request.socket.once('close', leave).destroyed) leave();
      const guest = await openGuestPort(clusterWith(options, stored), stored, { vm, signal: ending.signal });
      audit(response, { outcome: 'opened', subject: `${stored.spec.module.name}/${vm}` });
      const upgrade = takeUpgrade(request);
      if (!upgrade || ending.signal.aborted) return void guest.destroy();
      // No session follows a handshake that is refused.
      ending.signal.addEventListener('abort', () => guest.destroy());
      endWithStep(options, { stored, vm }, ending);
      sockets.handleUpgrade(upgrade.request, upgrade.socket, upgrade.head, async (socket) => {
        void keepSocketAlive(socket, clock);
        const person = createWebSocketStream(socket);
        const about = { build: id, vm, layerBuild: stored.id, who: who.name };
        const end = await pipeline(person, guest, person, { signal: ending.signal }).catch(errorMessage);
        guest.destroy();
        socket.terminate();
        ending.abort();
        logger.info({ ...about, why: end }, 'An SSH session has ended');
      });
    },
  } satisfies Partial<Handlers>;
}

/** The layer build whose machine a client enters: a step of it waits, and the build is theirs. @throws Forbidden, NotWaiting */
async function layerBuildToEnter(
  { redis }: SshHandlersOptions,
  { params: { id, vm }, query: { layerBuild }, who }: Pick<Call<'openSsh'>, 'params' | 'query' | 'who'>,
): Promise<StoredLayerBuild> {
  const build = await loadOwnBuild(redis, id, who);
  return waitingLayerBuild(redis, { id, vm, layerBuild }).catch((error: unknown) => {
    const isClone = build.run !== null && error instanceof FarmError && error.code === 'NotWaiting';
    throw isClone ? cloneNotUp(build, vm) : error;
  });
}

function cloneNotUp({ id, finishedAt }: Pick<StoredBuild, 'id' | 'finishedAt'>, vm: string): FarmError {
  const [why, solve] =
    finishedAt === null
      ? ['is not up', '`slipway ps` shows how far the clone is.']
      : ['is gone: the clone has ended', '`slipway run` starts another clone.'];
  return new FarmError('NotWaiting', `VM "${vm}" of the clone ${id} ${why}.`, { details: { solve } });
}

function clusterWith({ clusterOf }: SshHandlersOptions, { cluster }: StoredLayerBuild): ClusterClient {
  return requireCluster(clusterOf(cluster), cluster);
}

interface MachineOfBuild {
  readonly stored: StoredLayerBuild;
  readonly vm: string;
}

/** A person is never logged in to a machine on which the farm works again. */
function endWithStep({ redis, notices }: SshHandlersOptions, machine: MachineOfBuild, ending: AbortController): void {
  const stop = notices.listen((notice) => {
    const isOfBuild = 'layerBuild' in notice && notice.layerBuild === machine.stored.id;
    if (isOfBuild || notice.kind === 'reconnected') void endWhenOver(redis, machine, ending);
  });
  void once(ending.signal, 'abort').then(stop);
  // It may have continued while the guest was being reached.
  void endWhenOver(redis, machine, ending);
}

async function endWhenOver(redis: Redis, { stored, vm }: MachineOfBuild, ending: AbortController): Promise<void> {
  const waits = await readHandbuild(redis, { cluster: stored.cluster, layerBuild: stored.id, vm }).catch(() => 0);
  if (waits === null) ending.abort(new FarmError('Cancelled', 'The step does not wait any more.'));
}
