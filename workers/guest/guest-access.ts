import { FarmError } from '../../common/errors/farm-error.ts';
import { ApiError } from '../../common/kubernetes/api-error.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { ensureBuildKey } from '../cluster/build-key.ts';
import { type BuildScope, type GuestRoute, guestRoute } from '../cluster/build-scope.ts';
import { ensureRelays } from '../phases/import/relays.ts';
import { type PhaseContext, PhaseFailure } from '../phases/phase-executor.ts';
import { connectThroughRelay } from '../relay/relay-client.ts';
import { openOrAbandon } from '../runtime/open-or-abandon.ts';
import type { GuestCredentials } from './guest-connection.ts';
import { GuestLink, type HostKeyPin } from './guest-link.ts';
import { type Mask, maskSecrets } from './log-lines.ts';
import { readObjectKey } from './object-key.ts';

/** On the VM: SHA-256 of the host key that its guest showed first. */
const HOST_KEY = 'slipway.dev/host-key';

/** The way into a guest, and what must not be seen of it. */
export interface GuestAccess {
  readonly link: GuestLink;
  /** Hides the credentials in what the guest prints. */
  readonly mask: Mask;
  /** The line of `authorized_keys` that the farm put into the guest. */
  readonly publicKey: string;
}

export interface AccessOptions {
  /** Ends the link. */
  readonly signal: AbortSignal;
  /** How long the guest may be out of reach. @defaultValue `sshTimeout` of the VM */
  readonly timeoutMs?: number;
}

/**
 * Prepares the way into the claimed VM's guest, through the relay of its network; nothing is connected yet.
 * @throws PhaseFailure GuestNeverAnswered when no NIC of it is on a network that the farm reaches.
 */
export async function openGuestAccess(
  context: PhaseContext,
  scope: BuildScope,
  { signal, timeoutMs = scope.vm.communicator.sshTimeoutMs }: AccessOptions,
): Promise<GuestAccess> {
  const { cluster, clock, logger, farmKey } = context;
  const { communicator } = scope.vm;
  const route = guestRoute(scope);
  if (!route) {
    throw new PhaseFailure('GuestNeverAnswered', 'No NIC of the VM has a planned address on a managed subnet.');
  }
  const buildKey = await ensureBuildKey(cluster, scope, signal);
  const { sshPassword, sshPrivateKeySecret: secret } = communicator;
  const given = secret && (await readObjectKey(cluster, { kind: 'Secret', optional: false, ...secret }, signal));
  const credentials: GuestCredentials = {
    username: communicator.sshUsername,
    privateKey: given ? given.toString() : buildKey.privateKey,
    password: sshPassword === null ? undefined : farmKey.open(sshPassword),
  };
  const link = new GuestLink({
    ...{ credentials, timeoutMs, clock, logger, signal },
    dial: (dialing) => dialGuest(context, scope, { route, signal: dialing }),
    hostKey: hostKeyPin(context, scope),
  });
  return { link, mask: maskSecrets([credentials.password, credentials.privateKey]), publicKey: buildKey.publicKey };
}

/** A byte stream to the guest's SSH port. A relay that has gone is made anew. @throws ConnectionLost */
export async function dialGuest(
  context: PhaseContext,
  scope: BuildScope,
  { route, signal }: { readonly route: GuestRoute; readonly signal: AbortSignal },
) {
  const { host, relayPod } = route;
  try {
    const address = { host, port: scope.vm.communicator.sshPort };
    return await openOrAbandon(connectThroughRelay(context.cluster, relayPod, address), signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    await ensureRelays(context, scope, await ensureBuildKey(context.cluster, scope, context.signal));
    throw new FarmError('ConnectionLost', 'The relay of the network had to be made anew.', { cause: error });
  }
}

/** Kept on the VM, which lives as long as the generation. */
function hostKeyPin({ cluster, signal }: PhaseContext, { names, vm }: BuildScope): HostKeyPin {
  const name = names.machine(vm.name);
  let pinned: string | undefined;
  return {
    read: async () => {
      const machine = pinned ? undefined : await cluster.get(RESOURCES.machines, name, { signal });
      pinned ??= machine?.metadata?.annotations?.[HOST_KEY];
      return pinned;
    },
    write: async (hostKey) => {
      await cluster.mergePatch(
        RESOURCES.machines,
        name,
        { metadata: { annotations: { [HOST_KEY]: hostKey } } },
        { signal },
      );
      pinned = hostKey;
    },
  };
}
