import { readFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import type { BuildScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { type GuestAccess, openGuestAccess } from './guest-access.ts';
import type { GuestConnection } from './guest-connection.ts';
import { quote, unixText } from './shell-words.ts';
import { stateName } from './state-name.ts';
import { supervisorOf } from './supervisor.ts';

const CLEAN_UP = ['workers/guest/key-files.sh', 'workers/guest/clean-up.sh']
  .map((file) => readFileSync(packagePath(file), 'utf8'))
  .join('\n');
/** A guest that is up answers at once; one without SSH should not cost much. */
const REACH_MS = 30_000;
/** After this a command that neither ended nor took the connection down is left alone. */
const COMMAND_MS = 60_000;
const DEFAULT_COMMAND =
  "PATH=$PATH:/usr/sbin:/sbin; as_root 'PATH=$PATH:/usr/sbin:/sbin; shutdown -h now || poweroff' || shutdown -h now || poweroff";

/**
 * Asks the guest to go down, over a connection of its own, and removes the farm's traces from it. Resolves when
 * the guest took the request; watch the VMI. Safe to call again.
 * @throws PhaseFailure GuestNeverAnswered or FarmError ConnectionLost when the guest could not be asked, or refused.
 */
export async function guestShutdown(context: PhaseContext, scope: BuildScope): Promise<void> {
  const over = new AbortController();
  try {
    const bounded = { ...context, signal: anySignal(context.signal, over.signal) };
    const options = { signal: bounded.signal, timeoutMs: REACH_MS, isUp: true };
    const access = await openGuestAccess(context, scope, options);
    await cleanGuest(bounded, access);
    await askToGoDown(bounded, scope, access);
  } finally {
    over.abort();
  }
}

/**
 * Removes the farm's state from the guest, so that no image keeps it; the way in goes with the shutdown. Safe to call again.
 */
export async function cleanGuest(context: PhaseContext, access: GuestAccess): Promise<void> {
  const build = stateName(context.claim.job);
  await access.link.use(async (guest) => (await supervisorOf(guest, build)).remove());
}

/**
 * Takes the farm's key out of the guest and runs `shutdownCommand` of the VM, as one command that continues in the guest
 * when this process is killed: before it, a successor still gets in and asks. Resolves and throws as `guestShutdown`.
 */
export async function askToGoDown(context: PhaseContext, scope: BuildScope, access: GuestAccess): Promise<void> {
  const { claim, store, clock, signal, secrets } = context;
  await store.assertCurrent(claim);
  const { shutdownCommand } = scope.vm;
  const down = shutdownCommand === null ? DEFAULT_COMMAND : unixText(secrets.fill(shutdownCommand));
  // Output after the end of this process has no effect.
  const command = ["trap '' HUP PIPE", asRoot(access), traceRemoval(access), down].join('\n');
  const over = new AbortController();
  const late = clock.after(COMMAND_MS, anySignal(signal, over.signal)).then(
    () => undefined,
    () => undefined,
  );
  const refusal = await access.link.use((guest) => ask(guest, command, { late, access })).finally(() => over.abort());
  if (refusal !== undefined) throw new FarmError('ConnectionLost', `The guest refused to shut down: ${refusal}`);
}

/** Code that removes the key and the part of the user data from the guest. Needs `as_root`; it prints nothing. */
function traceRemoval(access: GuestAccess): string {
  const key = access.buildPublicKey.split(' ')[1] ?? '';
  return `(key=${quote(key)} user=${quote(access.username)} home=$HOME
    script="key=$key user='$user' home='$home'
    "${quote(CLEAN_UP)}
    as_root "$script" || printf %s "$script" | sh) >/dev/null 2>&1`;
}

/**
 * Code that defines `as_root SCRIPT`, which fails where the user cannot become root. The script goes by standard input:
 * guests log the arguments of `sudo`.
 */
export function asRoot({ password }: Pick<GuestAccess, 'password'>): string {
  const asked =
    password === undefined
      ? 'false'
      : `{ printf '%s\\n' ${quote(password)}; printf %s "$1"; } | sudo -S -p '' sh 2>/dev/null`;
  return `uid=$(id -u)
  as_root() {
    if [ "$uid" = 0 ]; then (eval "$1")
    elif ! command -v sudo >/dev/null 2>&1; then return 1
    elif sudo -n true 2>/dev/null; then printf %s "$1" | sudo -n sh
    else ${asked}; fi
  }`;
}

/** Resolves with the message of a guest that refused. */
async function ask(
  guest: GuestConnection,
  command: string,
  { late, access }: { readonly late: Promise<undefined>; readonly access: GuestAccess },
): Promise<string | undefined> {
  const answer = guest.exec(command).then(
    ({ exitCode, output }) =>
      exitCode === 0 ? undefined : `${access.mask(output.trim(), { end: true })} (code ${exitCode})`,
    // The guest took the connection down with it.
    () => undefined,
  );
  return Promise.race([answer, late]);
}
