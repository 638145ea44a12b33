import { parseBootCommand } from '../../../common/contracts/boot-command/parse.ts';
import { fillTemplate } from '../../../common/contracts/boot-command/template.ts';
import { ANNOTATIONS } from '../../../common/contracts/object-keys.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import type { VirtualMachine, VirtualMachineInstance } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { openSubresourceStream } from '../../../common/kubernetes/subresource-stream.ts';
import { openOrAbandon } from '../../../common/lifecycle/open-or-abandon.ts';
import { whileUnavailable } from '../../../common/lifecycle/while-unavailable.ts';
import type { BuildScope } from '../../cluster/build-scope.ts';
import { loginKeys } from '../../cluster/login-keys.ts';
import { typeOnConsole } from '../../console/boot-console.ts';
import { BootTyping } from '../../console/typing.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import type { HeldConsole } from '../../context/worker-consoles.ts';
import { timeOfPhase } from '../../machines/machine-life.ts';
import { relayAddressOf } from '../../networks/networks.ts';
import { RELAY_PORTS } from '../../relay/relay-pod.ts';

/** The mark on the VM: `begun` before the first key, `done` after the last one was played. */
type TypingMark = 'begun' | 'done';

/** How far typing came, by the mark on the VM. @throws PhaseFailure TypingInterrupted when it was begun and not ended */
export function isTyped(vm: VirtualMachine): boolean {
  const mark = vm.metadata?.annotations?.[ANNOTATIONS.typing];
  if (mark !== undefined && mark !== ('done' satisfies TypingMark)) {
    throw new PhaseFailure(
      'TypingInterrupted',
      'A worker was lost while it typed: which keys reached the guest is unknown.',
    );
  }
  return mark !== undefined;
}

export interface TypingTarget {
  readonly vmi: VirtualMachineInstance;
  /** Whether this executor started the machine: then waits count from the moment when the console is attached. */
  readonly fresh: boolean;
  /** The console, held since before the machine was started: so no other session with it exists. */
  readonly held: HeldConsole;
}

/**
 * Types the boot command of the VM. A machine that another worker started is taken over only while its first key is not
 * yet due.
 * @throws PhaseFailure TypingInterrupted
 */
export async function typeBootCommand(context: PhaseContext, scope: BuildScope, target: TypingTarget): Promise<void> {
  const { cluster, claim, store, clock, logger, metrics, signal } = context;
  const name = scope.names.machine(scope.vm.name);
  const typing = await compile(context, scope);
  const since = target.fresh ? undefined : timeOfPhase(target.vmi, 'Running');
  if (!target.fresh && (since === undefined || clock.now() - since > typing.leadMs)) {
    throw new PhaseFailure('TypingInterrupted', 'The machine was started by a worker that was lost before it typed.');
  }
  let marked = false;
  const played = typeOnConsole({
    ...{ typing, clock, logger, signal, held: target.held },
    dial: (dialing) => openOrAbandon(openSubresourceStream(cluster, name, { stream: 'vnc' }), dialing),
    onAttached: (time) => typing.startedAt(since ?? time),
    beforeBatch: async () => {
      if (!marked) await mark(context, name, 'begun');
      marked = true;
      await whileUnavailable({ clock, signal }, () => store.assertCurrent(claim));
    },
  });
  const whole = await played.finally(() => metrics.keystrokes.inc(typing.pressed));
  if (!whole) throw new PhaseFailure('TypingInterrupted', 'The console was lost between two keys.');
  await mark(context, name, 'done');
}

async function compile(context: PhaseContext, scope: BuildScope): Promise<BootTyping> {
  const { vm } = scope;
  const text = fillTemplate(vm.bootCommand.join(''), {
    Name: vm.name,
    HTTPIP: await relayAddressOf(context, scope),
    HTTPPort: String(RELAY_PORTS.http),
    SSHPublicKey: (await loginKeys(context, scope, vm)).publicKey,
  });
  const command = parseBootCommand([text], context.secrets.secretValue);
  if ('error' in command) throw new FarmError('InvalidModule', `The boot command of "${vm.name}": ${command.error}`);
  return new BootTyping(command.events);
}

async function mark({ cluster, signal }: PhaseContext, name: string, value: TypingMark): Promise<void> {
  const patch = { metadata: { annotations: { [ANNOTATIONS.typing]: value } } };
  await cluster.mergePatch(RESOURCES.machines, name, patch, { signal });
}
