import { guestRoute } from '../../common/contracts/guest-route.ts';
import { objectKeysOf } from '../../common/contracts/object-content.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { ApiError } from '../../common/kubernetes/api-error.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openOrAbandon } from '../../common/lifecycle/open-or-abandon.ts';
import { type Mask, maskSecrets } from '../../common/logging/mask.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import { loginKeys } from '../cluster/login-keys.ts';
import { readPlannedObject } from '../cluster/object-content.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { networkOf } from '../networks/networks.ts';
import { ensureRelays } from '../networks/relays.ts';
import { reportAttempts } from './attempts.ts';
import type { GuestCredentials } from './guest-connection.ts';
import { GuestLink, type HostKeyPins } from './guest-link.ts';

/** Shorter lines of a secret text, such as `done`, are not secret. */
const MEANINGFUL = 8;

/** Access to a guest, and the secrets of this access. */
export interface GuestAccess {
  readonly link: GuestLink;
  /** Masks the credentials, the secrets of the module, and values from Secrets in the output of the guest. */
  readonly mask: Mask;
  /** The build's own line of `authorized_keys`, which no image keeps. */
  readonly buildPublicKey: string;
  /** Of the user who logs in. */
  readonly username: string;
  /** Of that user; what `sudo` asks for, if anything. */
  readonly password: string | undefined;
}

export interface AccessOptions {
  /** Ends the link. */
  readonly signal: AbortSignal;
  /** How long the guest may be out of reach. @defaultValue `sshTimeout` of the VM */
  readonly timeoutMs?: number;
  /** The guest is known to be up: one that refuses the farm is not asked again and again. @defaultValue false */
  readonly isUp?: boolean;
}

/**
 * Prepares the way into the claimed VM's guest, through the relay of its network; without connecting.
 * @throws PhaseFailure GuestNeverAnswered when no NIC of it is on a network that the farm reaches.
 */
export async function openGuestAccess(
  context: PhaseContext,
  scope: BuildScope,
  { signal, timeoutMs = scope.vm.communicator.sshTimeoutMs, isUp = false }: AccessOptions,
): Promise<GuestAccess> {
  const { clock, logger, farmKey, secrets } = context;
  const { sshUsername, sshPassword } = scope.vm.communicator;
  const route = guestRoute(scope);
  if (!route) {
    throw new PhaseFailure('GuestNeverAnswered', 'No NIC of the VM has a planned address on a managed subnet.');
  }
  const { privateKeys, buildKey } = await loginKeys({ ...context, signal }, scope, scope.vm);
  const credentials: GuestCredentials = {
    username: sshUsername,
    privateKeys,
    password: sshPassword === null ? undefined : secrets.fill(farmKey.open(sshPassword)),
  };
  const own = maskSecrets([credentials.password, ...privateKeys, ...(await secretLines(context, scope, signal))]);
  const link = new GuestLink({
    ...{ credentials, timeoutMs, isUp, clock, logger, signal },
    dial: (dialing) => dialGuest(context, scope, dialing),
    onAttempt: reportAttempts(
      context,
      `SSH ${networkOf(scope.spec).guestName(scope, route.nic)}:${scope.vm.communicator.sshPort}`,
    ),
    hostKeys: hostKeyPins(context, scope),
  });
  const mask: Mask = (text, cut) => secrets.mask(own(text, cut), cut);
  const { username, password } = credentials;
  return { link, mask, buildPublicKey: buildKey.publicKey, username, password };
}

/** Lines of scripts and files out of Secrets, as far as they are long enough to give something away. */
async function secretLines(context: PhaseContext, { vm }: BuildScope, signal: AbortSignal): Promise<string[]> {
  const secrets = objectKeysOf(vm).filter(({ kind }) => kind === 'Secret');
  const contents = await Promise.all(secrets.map((ref) => readPlannedObject(context, ref, signal)));
  return contents
    .flatMap((content) => (content?.toString() ?? '').split('\n'))
    .filter((line) => line.length >= MEANINGFUL);
}

/** A byte stream to the guest's SSH port. A relay that has gone is recreated. @throws ConnectionLost */
export async function dialGuest(context: PhaseContext, scope: BuildScope, signal: AbortSignal) {
  try {
    const target = { port: scope.vm.communicator.sshPort, signal };
    return await openOrAbandon(networkOf(scope.spec).dial(context, scope, target), signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    await ensureRelays(context, scope);
    throw new FarmError('ConnectionLost', 'The relay of the network was replaced.', { cause: error });
  }
}

/** Kept on the VM, which lives as long as the generation. */
function hostKeyPins({ cluster, signal }: PhaseContext, { names, vm }: BuildScope): HostKeyPins {
  const name = names.machine(vm.name);
  let pinned: readonly string[] | undefined;
  return {
    read: async () => {
      const machine = pinned ? undefined : await cluster.get(RESOURCES.machines, name, { signal });
      pinned ??= machine?.metadata?.annotations?.[ANNOTATIONS.hostKeys]?.split(' ').filter(Boolean);
      return pinned?.length ? pinned : undefined;
    },
    write: async (hostKeys) => {
      const metadata = { annotations: { [ANNOTATIONS.hostKeys]: hostKeys.join(' ') } };
      await cluster.mergePatch(RESOURCES.machines, name, { metadata }, { signal });
      pinned = hostKeys;
    },
  };
}
