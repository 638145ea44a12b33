import { FarmError } from '../../common/errors/farm-error.ts';
import type { Mask } from '../../common/logging/mask.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../phases/phase-executor.ts';
import { forgetLogin } from './forget-login.ts';
import { openGuestAccess } from './guest-access.ts';
import type { GuestConnection } from './guest-connection.ts';
import { stateName } from './state-name.ts';
import { removeSupervisorState } from './supervisor.ts';

/** A guest that is up answers at once; one without SSH should not cost much. */
const REACH_MS = 30_000;
/** After this a command that neither ended nor took the connection down is left alone. */
const COMMAND_MS = 60_000;
const DEFAULT_COMMAND = 'PATH=$PATH:/usr/sbin:/sbin; sudo -n shutdown -h now || shutdown -h now || poweroff';

/**
 * Asks the guest by SSH to go down: removes the farm's state and key from it, then runs `shutdownCommand` of the VM.
 * Resolves when the guest took the request; watch the VMI. Safe to call again.
 * @throws PhaseFailure GuestNeverAnswered or FarmError ConnectionLost when the guest could not be asked, or refused.
 */
export async function guestShutdown(context: PhaseContext, scope: BuildScope): Promise<void> {
  const { claim, store, clock } = context;
  const over = new AbortController();
  try {
    const signal = AbortSignal.any([context.signal, over.signal]);
    const { link, mask, buildPublicKey } = await openGuestAccess(context, scope, { signal, timeoutMs: REACH_MS });
    await link.use(async (guest) => {
      await removeSupervisorState(guest, stateName(claim.job));
      await forgetLogin(guest, { publicKey: buildPublicKey, username: scope.vm.communicator.sshUsername });
    });
    await store.assertCurrent(claim);
    const late = clock.after(COMMAND_MS, signal).then(
      () => undefined,
      () => undefined,
    );
    const command = context.secrets.fill(scope.vm.shutdownCommand ?? DEFAULT_COMMAND);
    const refusal = await link.use((guest) => ask(guest, command, { late, mask }));
    if (refusal !== undefined) throw new FarmError('ConnectionLost', `The guest refused to shut down: ${refusal}`);
  } finally {
    over.abort();
  }
}

/** Resolves with what the guest said when it refused. */
async function ask(
  guest: GuestConnection,
  command: string,
  { late, mask }: { readonly late: Promise<undefined>; readonly mask: Mask },
): Promise<string | undefined> {
  const { channel, exited } = await guest.open('sh -s');
  let said = '';
  for (const output of [channel, channel.stderr]) {
    output.on('data', (chunk: Buffer) => {
      said += chunk.toString().slice(0, 4096 - said.length);
    });
  }
  channel.end(`${command}\n`);
  const answer = exited.then(
    (exitCode) => (exitCode === 0 ? undefined : `${mask(said.trim(), { end: true })} (code ${exitCode})`),
    // The guest took the connection down with it.
    () => undefined,
  );
  return Promise.race([answer, late]);
}
