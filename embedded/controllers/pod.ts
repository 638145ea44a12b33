import { rm } from 'node:fs/promises';
import type { Duplex, Readable } from 'node:stream';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ApiError } from '../api/api-error.ts';
import { fieldAt, type KubeObject, type ObjectKey } from '../api/objects.ts';
import type { MachineRef, PodLogOptions } from '../api/subresources/machine-access.ts';
import { runDirOf } from '../host/layout.ts';
import { killLeftovers } from '../host/processes.ts';
import { namespacePath, runSteps, setting } from '../network/ip-command.ts';
import { podNamespace, removeNamespace } from '../network/namespaces.ts';
import { readLog } from '../pods/pod-log.ts';
import { podFiles } from '../pods/pod-plan.ts';
import { PodProcess } from '../pods/pod-process.ts';
import { machineSockets } from '../qemu/command-line.ts';
import type { ClusterNetwork } from './cluster-network.ts';
import {
  type ControllerContext,
  ensureFinalizer,
  isDeleting,
  ownerOfKind,
  queueFor,
  removeFinalizers,
  textKeyOf,
  uidOf,
} from './context.ts';
import { isGatewayPod } from './gateway-pods.ts';
import { isLauncherPod, isSerialLog } from './launcher-pod.ts';
import { machineRunDir } from './machine-registry.ts';
import { securityOf } from './pod-security.ts';
import { containerOf, planPod } from './pod-spec.ts';
import { restartsOf, writePodStatus } from './pod-status.ts';
import { isVirtApi } from './virt-api-pod.ts';
import { NODE_NAME } from './vmi-status.ts';
import type { WorkQueue } from './work-queue.ts';

const POD_FINALIZER = 'embedded.slipway.dev/pod';
const DEFAULT_GRACE_SECONDS = 30;

/** Whether a pod only shows that something else is there: a machine, a gateway, this process. */
function isStandIn(pod: KubeObject): boolean {
  return isLauncherPod(pod) || isGatewayPod(pod) || isVirtApi(pod);
}

/** Dependencies of the pod controller. */
export interface PodParts {
  readonly context: ControllerContext;
  readonly network: ClusterNetwork;
  /** Image to the command that runs here in its stead. */
  readonly podCommands: Readonly<Record<string, readonly string[]>>;
}

/** Pods: one local process each, in a network namespace of its own, that outlives the server. */
export class PodController {
  readonly #parts: PodParts;
  readonly #queue: WorkQueue;
  readonly #processes = new Map<string, PodProcess>();
  readonly #endListeners = new Map<string, Set<() => void>>();
  readonly #asked = new Set<string>();
  /** When a command that ended may be started again, by pod uid. */
  readonly #notBefore = new Map<string, number>();

  constructor(parts: PodParts) {
    this.#parts = parts;
    const { context } = parts;
    this.#queue = queueFor(context, 'Pod', (key) => this.#reconcile(key));
    const wakeWaiting = () => {
      for (const pod of context.store.list('Pod')) {
        if (pod.status?.['phase'] === 'Pending' && !isStandIn(pod)) this.#queue.add(textKeyOf(pod));
      }
    };
    context.store.subscribe(parts.network.kinds, wakeWaiting, context.signal);
    context.signal.addEventListener('abort', () => {
      for (const process of this.#processes.values()) process.detach();
    });
  }

  /** Connects to a port on the pod's loopback. */
  async openPort(ref: MachineRef, port: number): Promise<Duplex> {
    const pod = this.#find(ref);
    const process = this.#processes.get(uidOf(pod));
    if (!process || process.hasEnded) throw new ApiError(500, 'InternalError', `pod "${ref.name}" is not running`);
    return await process.openPort(port);
  }

  /** Output of a container; for a launcher pod that of QEMU, or the guest's serial output in whole lines. */
  async log(ref: MachineRef, { container, follow, tailLines, signal }: PodLogOptions): Promise<Readable> {
    const pod = this.#find(ref);
    const uid = uidOf(pod);
    const isOver = () => ['Succeeded', 'Failed'].includes(String(this.#current(pod)?.status?.['phase'] ?? 'Failed'));
    return readLog(this.#logFile(pod, container), {
      follow,
      onlyWholeLines: isSerialLog(container),
      signal,
      ...(tailLines === undefined ? {} : { tailLines }),
      hasEnded: isOver,
      onEnd: (listener) => {
        const listeners = this.#endListeners.get(uid) ?? new Set();
        this.#endListeners.set(uid, listeners.add(listener));
        signal.addEventListener('abort', () => listeners.delete(listener), { once: true });
      },
    });
  }

  #logFile(pod: KubeObject, container: string): string {
    const machine = isLauncherPod(pod) ? ownerOfKind(pod, 'VirtualMachineInstance') : undefined;
    if (!machine) return podFiles(this.#directory(pod)).log;
    const files = machineSockets(machineRunDir(this.#parts.context, machine.uid));
    return isSerialLog(container) ? files.serialLog : files.stderr;
  }

  #find({ namespace, name }: MachineRef): KubeObject {
    const pod = this.#parts.context.store.get('Pod', { namespace, name });
    if (!pod) throw new ApiError(404, 'NotFound', `pods "${name}" not found`);
    return pod;
  }

  #current(pod: KubeObject): KubeObject | undefined {
    const current = this.#parts.context.store.get('Pod', pod.metadata);
    return current?.metadata.uid === pod.metadata.uid ? current : undefined;
  }

  #directory(pod: KubeObject): string {
    return runDirOf(this.#parts.context.layout, 'pods', uidOf(pod));
  }

  async #reconcile(key: ObjectKey): Promise<void> {
    const { context } = this.#parts;
    const pod = context.store.get('Pod', key);
    if (!pod) return;
    const phase = pod.status?.['phase'];
    if (phase === 'Succeeded' || phase === 'Failed') this.#announceEnd(uidOf(pod));
    if (isStandIn(pod)) return;
    if (isDeleting(pod)) return await this.#remove(pod);
    await ensureFinalizer(context.store, pod, POD_FINALIZER);
    if (phase === 'Succeeded' || phase === 'Failed') return;
    const notBefore = this.#notBefore.get(uidOf(pod));
    // One that ended here is not adopted: a dying supervisor may close its connections before it stops listening.
    const process = this.#processes.get(uidOf(pod)) ?? (notBefore === undefined ? await this.#adopt(pod) : undefined);
    const isHeldBack = (notBefore ?? 0) > context.clock.now();
    if (!process && isHeldBack) return;
    if (!process) await this.#start(pod);
    else if (process.hasEnded) await this.#ended(pod, process);
    else await this.#writeRunning(pod);
  }

  #place(pod: KubeObject) {
    const key = textKeyOf(pod);
    const { clock, logger } = this.#parts.context;
    return {
      directory: this.#directory(pod),
      clock,
      onEnd: () => this.#queue.add(key),
      onLogTrouble: (error: unknown) => logger.warn({ err: error, pod: key }, 'The log of a pod grows without a bound'),
    };
  }

  async #adopt(pod: KubeObject): Promise<PodProcess | undefined> {
    const wasRunning = fieldAt(pod.status, 'containerStatuses', 0, 'state', 'running') !== undefined;
    const process =
      (await PodProcess.adopt(this.#place(pod))) ?? (wasRunning ? PodProcess.gone(this.#place(pod)) : undefined);
    if (process) this.#processes.set(uidOf(pod), process);
    return process;
  }

  async #start(pod: KubeObject): Promise<void> {
    const { context, network, podCommands } = this.#parts;
    const image = String(containerOf(pod)['image'] ?? '');
    const command = podCommands[image];
    if (!command) {
      const message = `Failed to pull image "${image}": no local command is configured for it`;
      await writePodStatus(context, pod, {
        phase: 'Pending',
        state: { kind: 'waiting', reason: 'ErrImagePull', message },
      });
      return context.events.record(pod, { type: 'Warning', reason: 'Failed', message });
    }
    try {
      const podIp = await network.connectPod(pod, podNamespace(context.layout, uidOf(pod)));
      const directory = this.#directory(pod);
      // A supervisor that was being started when the server died would start the command twice.
      await killLeftovers(directory, context.clock);
      const namespace = podNamespace(context.layout, uidOf(pod));
      const security = securityOf(pod);
      await runSteps(security.sysctls.map(({ name, value }) => setting(namespace, name.replaceAll('.', '/'), value)));
      const { store, volumes, confiner } = context;
      const plan = await planPod({ store, volumes, confiner, security, pod, command, directory, podIp });
      const process = await PodProcess.start(this.#place(pod), plan, namespacePath(namespace));
      this.#processes.set(uidOf(pod), process);
      const started = this.#current(pod);
      if (started) await this.#writeRunning(started, podIp);
      context.events.record(pod, { type: 'Normal', reason: 'Started', message: 'Started container' });
      this.#queue.add(textKeyOf(pod)); // It may have ended while this was written.
    } catch (error) {
      const message = errorMessage(error);
      const state = { kind: 'waiting', reason: 'ContainerCreating', message } as const;
      await writePodStatus(context, pod, { phase: 'Pending', state });
      context.events.record(pod, { type: 'Warning', reason: 'FailedCreatePodSandBox', message });
      throw error;
    }
  }

  async #writeRunning(pod: KubeObject, podIp?: string): Promise<void> {
    const { store } = this.#parts.context;
    if (pod.spec?.['nodeName'] === undefined) {
      await store.mutate('Pod', pod.metadata, (draft) => {
        draft.spec = { ...draft.spec, nodeName: NODE_NAME };
      });
    }
    await writePodStatus(this.#parts.context, pod, { phase: 'Running', state: { kind: 'running' }, podIp });
  }

  async #ended(pod: KubeObject, process: PodProcess): Promise<void> {
    const { context } = this.#parts;
    const exit = (await process.exit()) ?? { exitCode: 137, reason: 'The process was lost' };
    const policy = pod.spec?.['restartPolicy'] ?? 'Always';
    const reason = exit.exitCode === 0 ? 'Completed' : 'Error';
    const state = { kind: 'terminated', exitCode: exit.exitCode, reason, message: exit.reason ?? '' } as const;
    this.#processes.delete(uidOf(pod));
    if (policy === 'Never' || (policy === 'OnFailure' && exit.exitCode === 0)) {
      return await writePodStatus(context, pod, { phase: exit.exitCode === 0 ? 'Succeeded' : 'Failed', state });
    }
    const restarts = restartsOf(pod) + 1;
    await writePodStatus(context, pod, { phase: 'Running', state, restarts });
    // Kubelet's CrashLoopBackOff: at once, then 10 s doubled up to 5 min.
    const delayMs = restarts === 1 ? 0 : Math.min(300_000, 10_000 * 2 ** (restarts - 2));
    context.events.record(pod, { type: 'Warning', reason: 'BackOff', message: 'Back-off restarting failed container' });
    this.#notBefore.set(uidOf(pod), context.clock.now() + delayMs);
    this.#queue.add(textKeyOf(pod), delayMs);
  }

  async #remove(pod: KubeObject): Promise<void> {
    const { context } = this.#parts;
    const uid = uidOf(pod);
    const process = this.#processes.get(uid) ?? (await this.#adopt(pod));
    const graceSeconds = Number(pod.spec?.['terminationGracePeriodSeconds'] ?? DEFAULT_GRACE_SECONDS);
    const leftMs = Date.parse(pod.metadata.deletionTimestamp ?? '') + (graceSeconds + 1) * 1000 - context.clock.now();
    if (process && !process.hasEnded && graceSeconds > 0 && leftMs > 0) {
      if (this.#asked.has(uid)) return;
      this.#asked.add(uid);
      this.#queue.add(textKeyOf(pod), leftMs);
      return await process.terminate();
    }
    await process?.kill();
    this.#processes.delete(uid);
    this.#asked.delete(uid);
    this.#notBefore.delete(uid);
    await removeNamespace(podNamespace(context.layout, uid));
    await rm(this.#directory(pod), { recursive: true, force: true });
    this.#announceEnd(uid);
    await removeFinalizers(context.store, pod, [POD_FINALIZER]);
  }

  #announceEnd(uid: string): void {
    for (const listener of this.#endListeners.get(uid) ?? []) listener();
    this.#endListeners.delete(uid);
  }
}
