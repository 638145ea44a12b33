import type { Duplex } from 'node:stream';
import { NO_DEADLINE_MS } from '../../common/clock/clock.ts';
import type { ConsoleFront, ViewerOptions } from '../../common/console/console-front.ts';
import { dialConsole, type LinkOptions } from '../../common/console/console-link.ts';
import { machineName } from '../../common/contracts/object-names.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { requireCluster } from '../../common/errors/require-cluster.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openSubresourceStream } from '../../common/kubernetes/subresource-stream.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { type Alarm, createAlarm } from '../../common/lifecycle/alarm.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import {
  type ConsoleHolder,
  type ConsoleLeaseOptions,
  keepConsole,
  releaseConsole,
  takeConsole,
} from '../../common/redis/console-leases.ts';
import { type PlacedVm, readHandbuild } from '../../common/redis/handbuilds.ts';
import { readLayerBuildState } from '../../common/redis/layer-builds.ts';
import type { NoticeListener, Notices } from '../../common/redis/notices.ts';
import type { ConsoleKind } from './console-kinds.ts';

/** Notices may be lost: everything is looked at again after this. */
const LOOK_AGAIN_MS = 30_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;
/** Dependencies of relays. */
export interface ConsoleRelayOptions extends ConsoleLeaseOptions, LinkOptions {
  readonly notices: Notices;
  /** This process as others see it. */
  readonly self: ConsoleHolder;
  clusterOf(name: string): ClusterClient | undefined;
}

/** Which console of which VM. */
export interface RelayedConsole {
  readonly kind: ConsoleKind;
  readonly vm: PlacedVm;
}

/** A viewer; `mayType`: they may enter the machines of this build. */
export interface RelayViewer extends Omit<ViewerOptions, 'mayType'> {
  readonly mayType: boolean;
}

/**
 * The console of one VM, for all who look at it through this scheduler: from before its machine is there until the layer build
 * on it ends, over restarts and generations. While the relay has viewers, one of these holds:
 *
 *   the console is free         this scheduler takes it, waits for the machine to run, and has the one session with it
 *   another process has it      (a worker that types, another scheduler) this one is a viewer there
 *
 * Whenever the console changes hands, or a session is lost, it looks again; viewers keep the last picture meanwhile.
 */
export class ConsoleRelay {
  readonly #options: ConsoleRelayOptions;
  readonly #vm: PlacedVm;
  readonly #kind: ConsoleKind;
  readonly #front: ConsoleFront;
  readonly #alarm: Alarm;
  readonly #onEnd: () => void;
  #serving: Promise<void> | undefined;
  /** Aborted when the relay has no more viewers. */
  #unwatched = new AbortController();
  /** Aborted when a notice supersedes the present round. */
  #round = new AbortController();
  #machine = '';
  /** Holder of the console, as known to this round. */
  #holder = '';
  #isWaiting = false;

  /** `onEnd` is called when the last viewer has left, or the layer build has ended. */
  constructor(options: ConsoleRelayOptions, { kind, vm }: RelayedConsole, onEnd: () => void) {
    this.#options = options;
    this.#kind = kind;
    this.#vm = vm;
    this.#onEnd = onEnd;
    this.#alarm = createAlarm(options.clock);
    this.#front = kind.createFront((viewers) => {
      if (viewers === 0) this.#leave();
    });
  }

  /** The console when it is the one of that lease and this process has the session, for other schedulers. */
  consoleOf(lease: string): ConsoleFront | undefined {
    return lease === this.#lease && this.#holder === this.#options.self.owner ? this.#front : undefined;
  }

  /** Whether a step waits for a person: only then anything may be typed. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  get #lease(): string {
    return this.#kind.leaseOf(this.#machine);
  }

  /** Adds a viewer, who may also type while a step waits if the build is theirs. */
  attach(stream: Duplex, { name, mayType, onEnd }: RelayViewer): void {
    const viewer = { name, mayType: () => mayType && this.#isWaiting };
    this.#front.attach(stream, onEnd ? { ...viewer, onEnd } : viewer);
    this.#serving ??= this.#serve();
  }

  /** Disconnects all viewers; resolves when the console was given back. */
  async end(): Promise<void> {
    this.#front.close();
    this.#leave();
    await this.#serving;
  }

  #leave(): void {
    this.#unwatched.abort(new FarmError('Cancelled', 'The console no longer has a viewer.'));
  }

  async #serve(): Promise<void> {
    const stop = this.#options.notices.listen((notice) => this.#hear(notice));
    // A viewer may come while the departure of the last one is being handled.
    for (let isOver = false; this.#front.viewers > 0 && !isOver; ) {
      this.#unwatched = new AbortController();
      isOver = await this.#run();
    }
    stop();
    this.#serving = undefined;
    this.#onEnd();
    this.#front.close();
  }

  /** Resolves without viewers, or with true when the layer build has ended. */
  async #run(): Promise<boolean> {
    const { clock, logger } = this.#options;
    const { signal } = this.#unwatched;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      this.#round = new AbortController();
      this.#holder = '';
      this.#alarm.reset();
      const startedAt = clock.now();
      try {
        await this.#look();
        if (!(await this.#follow(anySignal(signal, this.#round.signal)))) return true;
      } catch (error) {
        logger.debug({ err: error, ...this.#vm }, 'Showing a console failed; retrying');
      }
      // A session that lasted is reopened at once; one that does not open is retried with growing pauses.
      const lasted = clock.now() - startedAt > LONGEST_PAUSE_MS;
      pauseMs = lasted || this.#round.signal.aborted ? FIRST_PAUSE_MS : Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      if (!this.#round.signal.aborted) await this.#alarm.within(pauseMs, signal);
    }
    return false;
  }

  /** Shows the console as long as it can. False when the layer build has ended. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const { redis, self } = this.#options;
    const { layerBuild, vm } = this.#vm;
    const stored = await readLayerBuildState(redis, layerBuild);
    if (!stored || stored.finishedAt !== null) return false;
    this.#machine = machineName({ layerBuild, generation: stored.generation }, vm);
    const holder = await takeConsole(redis, this.#lease, self);
    this.#holder = holder.owner;
    if (holder.owner === self.owner) return this.#own(signal);
    await this.#join(holder.address, signal);
    return this.#kind.isPreserving || signal.aborted;
  }

  /** Has the one session with the machine, as long as the console is ours. False when another process has it. */
  async #own(signal: AbortSignal): Promise<boolean> {
    const machine = this.#lease;
    const over = new AbortController();
    const kept = keepConsole(this.#options, { machine, holder: this.#options.self }, over.signal).then(() =>
      over.abort(new FarmError('Superseded', 'Another process has the console now.')),
    );
    const whileOurs = anySignal(signal, over.signal);
    try {
      const wasShown = await this.#showMachine(whileOurs);
      return !wasShown || whileOurs.aborted || this.#kind.isPreserving;
    } finally {
      over.abort();
      await kept;
      await releaseConsole(this.#options, machine, this.#options.self);
    }
  }

  /** False when no console was available. */
  async #showMachine(signal: AbortSignal): Promise<boolean> {
    const { clusterOf, redis, self } = this.#options;
    const { stream, isPreserving } = this.#kind;
    const machine = this.#machine;
    const cluster = requireCluster(clusterOf(this.#vm.cluster), this.#vm.cluster);
    await waitFor(
      cluster,
      { resource: RESOURCES.instances, name: machine },
      { signal, deadlineMs: NO_DEADLINE_MS, what: 'the machine to run', until: isRunning },
    );
    // A worker takes the console before it starts the machine: a session that still exists here evicts no other.
    if ((await takeConsole(redis, this.#lease, self)).owner !== self.owner) return false;
    const preserving = isPreserving ? { preserveSession: true } : {};
    await this.#show(await openSubresourceStream(cluster, machine, { stream, ...preserving, signal }), signal);
    return true;
  }

  async #join(address: string, signal: AbortSignal): Promise<void> {
    await this.#show(await dialConsole(this.#options, { address, machine: this.#lease, signal }), signal);
  }

  /** Resolves when the session is lost. */
  async #show(stream: Duplex, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const session = await this.#front.connect(stream, { clock, signal });
    try {
      const ended = anySignal(session.lost, signal);
      while (!ended.aborted) {
        await clock.after(LOOK_AGAIN_MS, ended).catch(() => undefined);
        if (!ended.aborted) await this.#look();
      }
    } finally {
      session.close();
    }
  }

  #hear(notice: Parameters<NoticeListener>[0]): void {
    if (notice.kind === 'reconnected') void this.#look().catch(() => undefined);
    else if (notice.kind === 'console') {
      // For an unpreserved one the session itself reports the loss, and whether another client may take over.
      if (this.#kind.isPreserving && notice.machine === this.#lease && this.#isNews(notice.owner))
        this.#again('The console was taken over.');
    } else if ('layerBuild' in notice && notice.layerBuild === this.#vm.layerBuild) {
      if (notice.kind === 'ended') this.#again('The machine is no longer needed.');
      if (notice.kind === 'handbuild' || notice.kind === 'stop') void this.#look().catch(() => undefined);
    }
  }

  /** Whether a notice is of a change that this process did not make itself. */
  #isNews(owner: string): boolean {
    const self = this.#options.self.owner;
    return owner !== this.#holder && owner !== self && !(owner === '' && this.#holder === self);
  }

  #again(why: string): void {
    this.#round.abort(new FarmError('Superseded', why));
    this.#alarm.ring();
  }

  async #look(): Promise<void> {
    this.#isWaiting = (await readHandbuild(this.#options.redis, this.#vm)) !== null;
  }
}

function isRunning(vmi: VirtualMachineInstance | undefined): true | undefined {
  return vmi?.status?.phase === 'Running' ? true : undefined;
}
