import type { IncomingMessage } from 'node:http';
import { ApiError, badRequest } from '../api-error.ts';
import { parseBody, readBody } from '../http/exchange.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject, keyOf } from '../objects.ts';
import type { Store } from '../store.ts';
import { isFinal, machineError, phaseOf } from './instance-state.ts';

/** One thing that the machine controller is asked to do; it takes the request off the list when it is done. */
export interface StateChangeRequest {
  readonly action: 'Start' | 'Stop';
  /** The instance that is to stop. */
  readonly uid?: string;
  /** `{ paused: 'true' }` starts the machine paused. */
  readonly data?: Readonly<Record<string, string>>;
}

/** State for starting, stopping or restarting a machine. */
interface Situation {
  readonly store: Store;
  readonly machine: KubeObject;
  /** The machine's instance, when there is one. */
  readonly instance: KubeObject | undefined;
  readonly body: JsonObject;
}

type Change = () => Promise<unknown>;

/** Reads an optional JSON body of any declared media type. @throws ApiError 400 */
export async function readOptions(request: IncomingMessage): Promise<JsonObject> {
  const text = await readBody(request);
  const body = text.trim() === '' ? {} : parseBody(text, 'json');
  if (!isJsonObject(body)) throw badRequest('Can not unmarshal Request body to struct');
  return body;
}

/** Whether the body asks for a dry run (`dryRun: ["All"]`). @throws ApiError 400 */
export async function isDryRunBody(request: IncomingMessage): Promise<boolean> {
  return isDryRun(await readOptions(request));
}

function isDryRun(body: JsonObject): boolean {
  return Array.isArray(body['dryRun']) && body['dryRun'].includes('All');
}

/** `spec.runStrategy`, or the equivalent of the older `spec.running`. */
export function runStrategyOf(machine: KubeObject): string {
  const { runStrategy, running } = machine.spec ?? {};
  if (typeof runStrategy === 'string') return runStrategy;
  return running === true ? 'Always' : 'Halted';
}

/**
 * Carries out `start`, `stop` or `restart` of a VirtualMachine in the way that its run strategy asks for: by changing
 * the strategy, or by a request in `status.stateChangeRequests`.
 * @throws ApiError 409 when strategy or state do not permit it, 500 while an earlier request is under way
 */
export async function changeMachine(action: string, given: Omit<Situation, 'instance'>): Promise<boolean> {
  const { store, machine, body } = given;
  const situation: Situation = { ...given, instance: store.get('VirtualMachineInstance', keyOf(machine)) };
  const plans: Readonly<Record<string, (situation: Situation) => Change>> = {
    start: planStart,
    stop: planStop,
    restart: planRestart,
  };
  const plan = plans[action];
  if (!plan) return false;
  const change = plan(situation);
  if (!isDryRun(body)) await change();
  return true;
}

function planStart({ store, machine, instance, body }: Situation): Change {
  const strategy = runStrategyOf(machine);
  const isActive = instance !== undefined && !isFinal(instance) && !['', 'Unknown'].includes(phaseOf(instance));
  if (isActive) throw machineError(machine, 'VM is already running');
  const start: StateChangeRequest =
    body['paused'] === true ? { action: 'Start', data: { paused: 'true' } } : { action: 'Start' };
  switch (strategy) {
    case 'Halted':
      return start.data ? planRequests(store, machine, [start]) : () => setStrategy(store, machine, 'Always');
    case 'RerunOnFailure':
    case 'Manual': {
      if (strategy === 'RerunOnFailure' && instance && phaseOf(instance) === 'Failed') {
        throw machineError(machine, `${strategy} does not support starting VM from failed state`);
      }
      const uid = instance && isFinal(instance) ? instance.metadata.uid : undefined;
      return planRequests(store, machine, uid === undefined ? [start] : [{ action: 'Stop', uid }, start]);
    }
    default:
      throw machineError(machine, `${strategy} does not support manual start requests`);
  }
}

function planStop({ store, machine, instance, body }: Situation): Change {
  const strategy = runStrategyOf(machine);
  const running = instance && !isFinal(instance) ? instance : undefined;
  const grace = body['gracePeriod'];
  const shorten = () =>
    running && typeof grace === 'number' ? shortenGrace(store, running, grace) : Promise.resolve();
  switch (strategy) {
    case 'Halted': {
      if (!running) throw machineError(machine, 'VM is not running');
      const current = fieldAt(running.spec, 'terminationGracePeriodSeconds');
      if (typeof grace !== 'number' || (typeof current === 'number' && grace >= current)) {
        throw machineError(machine, 'Halted only supports manual stop requests with a shorter graceperiod');
      }
      return shorten;
    }
    case 'RerunOnFailure':
    case 'Manual': {
      const uid = running?.metadata.uid;
      if (uid === undefined) throw machineError(machine, 'VM is not running');
      const request = planRequests(store, machine, [{ action: 'Stop', uid }]);
      return async () => {
        await shorten();
        await request();
      };
    }
    default:
      return async () => {
        await shorten();
        await setStrategy(store, machine, 'Halted');
      };
  }
}

function planRestart({ store, machine, instance, body }: Situation): Change {
  const strategy = runStrategyOf(machine);
  const grace = body['gracePeriodSeconds'];
  if (typeof grace === 'number' && grace > 0) {
    throw badRequest('For force restart, only gracePeriod=0 is supported for now');
  }
  if (typeof grace === 'number' && grace < 0) throw badRequest('gracePeriod has to be greater or equal to 0');
  if (strategy === 'Halted' || strategy === 'Once') {
    throw machineError(machine, `RunStategy ${strategy} does not support manual restart requests`);
  }
  if (!instance) throw machineError(machine, 'VM is not running: Halted');
  const { uid = '' } = instance.metadata;
  const request = planRequests(store, machine, [{ action: 'Stop', uid }, { action: 'Start' }]);
  return async () => {
    // virt-api takes one second for a forced restart: zero would not let the stop be seen as one that was asked for.
    if (grace === 0) await shortenGrace(store, instance, 1);
    await request();
  };
}

function planRequests(store: Store, machine: KubeObject, requests: readonly StateChangeRequest[]): Change {
  const pending = machine.status?.['stateChangeRequests'];
  if (Array.isArray(pending) && pending.length > 0) {
    throw new ApiError(
      500,
      'InternalError',
      'Internal error occurred: unable to complete request: stop/start already underway',
    );
  }
  return () =>
    store.updateStatus('VirtualMachine', keyOf(machine), (status) => {
      status['stateChangeRequests'] = requests;
    });
}

function setStrategy(store: Store, machine: KubeObject, strategy: 'Always' | 'Halted'): Promise<KubeObject> {
  return store.mutate('VirtualMachine', keyOf(machine), (draft) => {
    const { running, ...spec } = draft.spec ?? {};
    draft.spec =
      running === undefined ? { ...spec, runStrategy: strategy } : { ...spec, running: strategy === 'Always' };
  });
}

function shortenGrace(store: Store, instance: KubeObject, seconds: number): Promise<KubeObject> {
  return store.mutate('VirtualMachineInstance', keyOf(instance), (draft) => {
    draft.spec = { ...draft.spec, terminationGracePeriodSeconds: seconds };
  });
}
