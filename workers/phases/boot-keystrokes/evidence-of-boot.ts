import type { FarmEvent } from '../../../common/contracts/events.ts';
import { guestRoute } from '../../../common/contracts/guest-route.ts';
import { errorMessage, FarmError } from '../../../common/errors/farm-error.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import type { Mask } from '../../../common/logging/mask.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { machineEvidence } from '../../context/stage.ts';
import { describeAttemptError, reportAttempts } from '../../guest/attempts.ts';
import { dialGuest, openGuestAccess } from '../../guest/guest-access.ts';
import type { GuestConnection } from '../../guest/guest-connection.ts';
import { endFailure, whenMachineEnds, whileMachineLives } from '../../machines/machine-life.ts';
import { networkOf } from '../../networks/networks.ts';

const RETRY_MS = 1_000;
const BANNER_MS = 10_000;
const TAIL_LINES = 40;

/**
 * Waits until the guest lets the farm in, and has carried out its cloud-init.
 * @throws PhaseFailure GuestNeverAnswered, CloudInitFailed, GuestPoweredOff, GuestCrashed, MachineEvicted or StorageFull
 */
export async function awaitLogin(context: PhaseContext, scope: BuildScope): Promise<void> {
  const name = scope.names.machine(scope.vm.name);
  await whileMachineLives(context, { name, doing: 'before SSH login succeeded' }, async (alive) => {
    const { link, mask } = await openGuestAccess(context, scope, { signal: alive });
    try {
      await link.use((guest) => awaitCloudInit(context, { guest, mask, required: scope.vm.cloudInit !== null }));
    } finally {
      link.close();
    }
  });
}

/**
 * Waits until something answers as SSH does or the guest has powered itself off: all that can be known of a guest that
 * the farm need not log in to.
 * @throws PhaseFailure GuestNeverAnswered, GuestCrashed, MachineEvicted or StorageFull
 */
export async function awaitSignOfLife(context: PhaseContext, scope: BuildScope): Promise<void> {
  const { cluster, clock } = context;
  const { sshTimeoutMs } = scope.vm.communicator;
  const name = scope.names.machine(scope.vm.name);
  const route = guestRoute(scope);
  const over = new AbortController();
  const signal = anySignal(context.signal, over.signal);
  const report = reportAttempts(
    context,
    `SSH ${route && networkOf(scope.spec).guestName(scope, route.nic)}:${scope.vm.communicator.sshPort}`,
  );
  const startedAt = clock.now();
  let cause: unknown;
  const onAttempt = (number: number, error: unknown) => {
    cause = error;
    report({ number, elapsedMs: clock.now() - startedAt, timeoutMs: sshTimeoutMs, error });
  };
  const late = async () => {
    await clock.after(sshTimeoutMs, signal);
    const last = cause === undefined ? '' : `; the last attempt ended with: ${describeAttemptError(cause)}`;
    const message = `The guest neither answered SSH nor powered off within ${sshTimeoutMs / 1000} s${last}.`;
    throw new PhaseFailure('GuestNeverAnswered', message, { cause });
  };
  const ended = async () => {
    const end = await whenMachineEnds(cluster, name, signal);
    if (end !== 'Succeeded')
      throw endFailure(end, 'before the guest was reachable', await machineEvidence(cluster, name));
  };
  const signs = [late(), ended(), ...(route ? [answersSsh(context, scope, { signal, onAttempt })] : [])];
  try {
    await Promise.race(signs);
  } finally {
    over.abort();
    await Promise.allSettled(signs);
  }
}

interface CloudInitCheck {
  readonly guest: GuestConnection;
  readonly mask: Mask;
  /** Whether the module asked for cloud-init: else its errors are not ours. */
  readonly required: boolean;
}

/**
 * Fails when user data makes cloud-init restart the guest when it is done (`power_state`), which then happens in a
 * moment: commands started meanwhile would be cut off. The mark of the module is newer than the boot only in the boot
 * in which it ran.
 */
const WILL_STAY = `
  mark=/var/lib/cloud/instance/sem/config_power_state_change
  ! { [ "$mark" -nt /run/cloud-init/ds-identify.log ] && grep -q '^power_state:' /var/lib/cloud/instance/cloud-config.txt; } 2>/dev/null`;
/** Answers with the code of `cloud-init status`, and whether the guest will stay. */
const STATUS = `
  code=0 stays=yes
  if command -v cloud-init >/dev/null 2>&1; then
    cloud-init status --wait --long 2>&1
    code=$?
    (${WILL_STAY}) || stays=no
  fi
  answer done $code $stays`;
const RESTART_MS = 60_000;

/** Exit codes of `cloud-init status`: 0 done, 1 failed, 2 done with errors that it could live with. */
async function awaitCloudInit(context: PhaseContext, { guest, mask, required }: CloudInitCheck): Promise<void> {
  const { words, output } = await guest.shell.ask(STATUS);
  const exitCode = Number(words[1]);
  if (required && words[2] !== 'yes') {
    await context.clock.after(RESTART_MS, anySignal(guest.lost, context.signal)).catch(() => {});
    guest.lost.throwIfAborted();
  }
  if (exitCode === 0 || !required) return;
  const status = mask(output).trim().split('\n');
  for (const line of status) await context.store.emit(context.claim, logEvent(context, `cloud-init: ${line}`));
  if (exitCode === 2) return;
  const log = await guest.exec(`tail -n ${TAIL_LINES} /var/log/cloud-init-output.log 2>/dev/null || :`);
  const logTail = [...status, ...mask(log.output).trim().split('\n')].filter((line) => line !== '').slice(-TAIL_LINES);
  throw new PhaseFailure('CloudInitFailed', 'cloud-init ended with an error in the guest.', { evidence: { logTail } });
}

function logEvent({ claim }: PhaseContext, line: string): FarmEvent {
  const { vm, phase } = claim.job;
  return { event: 'log', module: claim.spec.module.name, vm, phase, source: 'console', line };
}

interface SshProbe {
  readonly signal: AbortSignal;
  readonly onAttempt: (number: number, error: unknown) => void;
}

/** Resolves when the guest's port sends an SSH identification (RFC 4253 4.2). */
async function answersSsh(context: PhaseContext, scope: BuildScope, { signal, onAttempt }: SshProbe): Promise<void> {
  for (let number = 1; ; number += 1) {
    const attempt = anySignal(signal, AbortSignal.timeout(BANNER_MS));
    try {
      const stream = await dialGuest(context, scope, attempt);
      const abandon = () => stream.destroy(new FarmError('ConnectionLost', 'The guest sent no SSH identification.'));
      attempt.addEventListener('abort', abandon, { once: true });
      try {
        for await (const chunk of stream) if (String(chunk).startsWith('SSH-')) return;
        throw new FarmError('ConnectionLost', 'The connection ended before the guest sent its SSH identification.');
      } finally {
        attempt.removeEventListener('abort', abandon);
        stream.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      onAttempt(number, error);
      context.logger.debug({ err: errorMessage(error) }, 'The guest does not answer yet');
    }
    await context.clock.after(RETRY_MS, signal);
  }
}
