import { parseBootCommand } from '../../../common/contracts/boot-command/parse.ts';
import { fillTemplate } from '../../../common/contracts/boot-command/template.ts';
import { ANNOTATIONS } from '../../../common/contracts/object-keys.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { ApiError } from '../../../common/kubernetes/api-error.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { openSubresourceStream } from '../../../common/kubernetes/subresource-stream.ts';
import { openOrAbandon } from '../../../common/lifecycle/open-or-abandon.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { loginKeys } from '../../cluster/login-keys.ts';
import { type BootConsole, typeOnConsole } from '../../console/boot-console.ts';
import { BootTyping, type TypingPosition } from '../../console/typing.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import type { HeldConsole } from '../../context/worker-consoles.ts';
import { timeOfPhase, whileMachineLives } from '../../machines/machine-life.ts';
import { relayAddressOf } from '../../networks/networks.ts';
import { RELAY_PORTS } from '../../relay/relay-pod.ts';

/**
 * The mark on the VM: `begun` before the first key, `paused NEXT DUE` (as `TypingPosition`) when the worker stopped where another
 * one may continue, `done` after the last key was played.
 */
type TypingMark = 'begun' | 'done' | `paused ${number} ${number}`;

/** How long after its time a guest may get its next key from the worker that continues. */
const LATEST_MS = 30_000;

/** How far typing came, by the mark on the VM. @throws PhaseFailure TypingInterrupted when it was begun and not ended */
export function typedSoFar(vm: VirtualMachine): 'nothing' | 'all' | TypingPosition {
  const mark = vm.metadata?.annotations?.[ANNOTATIONS.typing];
  if (mark === undefined) return 'nothing';
  if (mark === ('done' satisfies TypingMark)) return 'all';
  const [, next, dueAt] = /^paused (\d+) (\d+)$/.exec(mark) ?? [];
  if (next !== undefined) return { next: Number(next), dueAt: Number(dueAt) };
  throw new PhaseFailure(
    'TypingInterrupted',
    'A worker was lost while it typed: which keys reached the guest is unknown.',
  );
}

export interface TypingTarget {
  readonly vmi: VirtualMachineInstance;
  /** Whether this executor saw the machine before it ran: then waits count from the moment when the console is attached. */
  readonly fresh: boolean;
  /** Where a worker that drained has stopped. */
  readonly from?: TypingPosition;
  /** The console, held since before the machine was started: so no other session with it exists. */
  readonly held: HeldConsole;
}

/**
 * Types the boot command of the VM. A machine that another worker started is taken over only while its first key is not
 * yet due, or where that worker has stopped. When this worker drains, it stops where another one may continue.
 * @throws PhaseFailure TypingInterrupted, GuestPoweredOff, GuestCrashed or MachineEvicted; the reason of the signal
 */
export async function typeBootCommand(context: PhaseContext, scope: BuildScope, target: TypingTarget): Promise<void> {
  const { cluster, unwanted, metrics, signal } = context;
  const name = scope.names.machine(scope.vm.name);
  const { from, fresh, vmi } = target;
  const typing = await compile(context, scope, from);
  const since = fresh ? undefined : timeOfPhase(vmi, 'Running');
  if (from) assertInTime(context, from);
  else if (!fresh) assertNotDue(context, { since, leadMs: typing.leadMs });
  const machine = { name, doing: 'while its boot command was typed' };
  const played = whileMachineLives({ cluster, signal: unwanted }, machine, (alive) =>
    typeOnMachine({ ...context, signal: alive }, name, {
      ...{ typing, held: target.held, pause: signal },
      onAttached: (time) => void (from ?? typing.startedAt(since ?? time)),
    }),
  );
  const isKnown = await played
    // The last key may have asked for it.
    .catch((error: unknown) => (typing.finished && isPowerOff(error)) || Promise.reject(error))
    .finally(() => metrics.keystrokes.inc(typing.pressed));
  if (!isKnown) throw new PhaseFailure('TypingInterrupted', 'The console was lost between two keys.');
  const { next, dueAt } = typing.position;
  await mark({ cluster, signal: unwanted }, name, typing.finished ? 'done' : `paused ${next} ${dueAt}`);
  if (!typing.finished) throw signal.reason;
}

/** Types on the console of one machine, as `typeOnConsole` does. A console that is refused shows that the machine is about to end. */
function typeOnMachine(
  context: PhaseContext,
  name: string,
  typed: Pick<BootConsole, 'typing' | 'held' | 'pause' | 'onAttached'>,
): Promise<boolean> {
  const { cluster, claim, store, clock, logger, signal } = context;
  let marked = false;
  return typeOnConsole({
    ...{ ...typed, clock, logger, signal },
    dial: async (dialing) => {
      try {
        return await openOrAbandon(openSubresourceStream(cluster, name, { stream: 'vnc' }), dialing);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        throw new FarmError('ConnectionLost', error.message, { cause: error });
      }
    },
    beforeBatch: async () => {
      if (!marked) await mark(context, name, 'begun');
      marked = true;
      await whileUnavailable({ clock, signal }, () => store.assertCurrent(claim));
    },
  });
}

function isPowerOff(error: unknown): boolean {
  return error instanceof PhaseFailure && error.failure.reason === 'GuestPoweredOff';
}

function assertNotDue(
  { clock }: PhaseContext,
  { since, leadMs }: { readonly since: number | undefined; readonly leadMs: number },
): void {
  if (since !== undefined && clock.now() - since <= leadMs) return;
  throw new PhaseFailure('TypingInterrupted', 'The machine was started by a worker that was lost before it typed.');
}

function assertInTime({ clock }: PhaseContext, { dueAt }: TypingPosition): void {
  if (clock.now() - dueAt <= LATEST_MS) return;
  const limit = `${LATEST_MS / 1000} s`;
  throw new PhaseFailure(
    'TypingInterrupted',
    `The worker that typed was stopped, and no other one continued within ${limit}.`,
  );
}

async function compile(context: PhaseContext, scope: BuildScope, from?: TypingPosition): Promise<BootTyping> {
  const { vm } = scope;
  const text = fillTemplate(vm.bootCommand.join(''), {
    Name: vm.name,
    HTTPIP: await relayAddressOf(context, scope),
    HTTPPort: String(RELAY_PORTS.http),
    SSHPublicKey: (await loginKeys(context, scope, vm)).publicKey,
  });
  const command = parseBootCommand([text], context.secrets.secretValue);
  if ('error' in command) throw new FarmError('InvalidModule', `The boot command of "${vm.name}": ${command.error}`);
  return new BootTyping(command.events, from);
}

async function mark(
  { cluster, signal }: Pick<PhaseContext, 'cluster' | 'signal'>,
  name: string,
  value: TypingMark,
): Promise<void> {
  const patch = { metadata: { annotations: { [ANNOTATIONS.typing]: value } } };
  await cluster.mergePatch(RESOURCES.machines, name, patch, { signal });
}
