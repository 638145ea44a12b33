import { NO_DEADLINE_MS } from '../../common/clock/clock.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { VirtualMachineInstance } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { openSerialLog } from '../../common/kubernetes/serial-log.ts';
import { waitFor } from '../../common/kubernetes/wait-for.ts';
import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { whileUnavailable } from '../../common/lifecycle/while-unavailable.ts';
import type { Mask } from '../../common/logging/mask.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { machineEnd } from '../machines/machine-life.ts';
import { SerialLines } from './serial-lines.ts';

/** The log is stored at most this often, however much the guest prints. */
const STORE_MS = 500;
/** A log that broke off is opened again after this; one that is not there, after longer and longer. */
const REOPEN_MS = 1_000;
const LONGEST_REOPEN_MS = 60_000;
/** No node cuts logs that are shorter. */
const SHORTEST_CUT = 1024 ** 2;
/** Stored output arrives at once when a log is opened; if less has arrived by then, the log is shorter. */
const BEGINNING_MS = 1_000;
/** Deadline for reading the last lines of a failed machine. */
const LAST_WORDS_MS = 5_000;

export interface SerialCaptureOptions {
  /** Name of its VMI. */
  readonly machine: string;
  /** Masks secrets that the store does not mask. */
  readonly mask: Mask;
}

/**
 * Follows the serial port of a phase's machine from its start, and stores its output: each line once, whichever
 * worker had the machine before. It never disturbs the phase: a missing log is not an error.
 */
export class SerialCapture {
  readonly #context: PhaseContext;
  readonly #options: SerialCaptureOptions;
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #lines: SerialLines | undefined;
  #storing: Promise<void> = Promise.resolve();
  #isStoring = false;
  #vmi: VirtualMachineInstance | undefined;

  constructor(context: PhaseContext, options: SerialCaptureOptions) {
    this.#context = context;
    this.#options = options;
    this.#following = this.#follow(anySignal(context.signal, this.#stop.signal));
  }

  /** Stops following; lines that were read are stored. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.#store();
  }

  /** Stops following, reads the last output, and returns its end; undefined without a log. */
  async lastWords(): Promise<readonly string[] | undefined> {
    await this.stop();
    const uid = this.#vmi?.metadata?.uid;
    try {
      const signal = anySignal(this.#context.signal, AbortSignal.timeout(LAST_WORDS_MS));
      if (uid) await this.#read(uid, { follow: false, signal });
      await this.#store();
    } catch (error) {
      this.#context.logger.debug({ err: error }, 'Reading the last serial output failed');
    }
    return this.#lines?.tail;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { cluster, clock, logger } = this.#context;
    for (let pauseMs = REOPEN_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, LONGEST_REOPEN_MS)) {
      try {
        const vmi = await waitFor(
          cluster,
          { resource: RESOURCES.instances, name: this.#options.machine },
          { signal, deadlineMs: NO_DEADLINE_MS, what: 'the machine to run', until: hasRun },
        );
        this.#vmi = vmi;
        if (await this.#read(vmi.metadata?.uid ?? '', { follow: true, signal })) pauseMs = REOPEN_MS;
        if (machineEnd(vmi)) return;
      } catch (error) {
        if (signal.aborted) return;
        logger.debug({ err: errorMessage(error) }, 'Reading the serial port failed; retrying');
      }
      await clock.after(pauseMs, signal).catch(() => undefined);
    }
  }

  /** Reads the log from its beginning: the API knows no other place to continue at. False when there is none. */
  async #read(uid: string, options: { readonly follow: boolean; readonly signal: AbortSignal }): Promise<boolean> {
    const { cluster, store, claim } = this.#context;
    const stored = await store.serialPosition(claim, uid);
    const lines = new SerialLines(stored, this.#options.mask);
    const log = await openSerialLog(cluster, uid, options);
    if (!log) return false;
    this.#lines = lines;
    const over = new AbortController();
    const signal = anySignal(options.signal, over.signal);
    signal.addEventListener('abort', () => log.destroy(), { once: true });
    if (options.follow && stored >= SHORTEST_CUT) void this.#findCut(uid, lines, signal);
    try {
      for await (const chunk of log) {
        lines.push(chunk as Buffer);
        if (lines.hasWaiting) this.#storeSoon(options.signal);
      }
      return true;
    } finally {
      over.abort();
      await this.#store();
    }
  }

  /**
   * A node keeps the last part of a log that grows: a log shorter than the stored part now begins later, and output
   * from now on is new. Only such a log is read again, to know how long it is.
   */
  async #findCut(uid: string, lines: SerialLines, signal: AbortSignal): Promise<void> {
    const { cluster, clock, logger } = this.#context;
    try {
      await clock.after(BEGINNING_MS, signal);
      if (!lines.isBehind) return;
      const log = await openSerialLog(cluster, uid, { follow: false, signal });
      let length = 0;
      for await (const chunk of log ?? []) length += (chunk as Buffer).length;
      if (log) lines.cutTo(length);
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'Measuring a serial log failed');
    }
  }

  /** One storing at a time, and a pause after each. */
  #storeSoon(signal: AbortSignal): void {
    if (this.#isStoring) return;
    this.#isStoring = true;
    this.#storing = this.#keep()
      .then(() => this.#context.clock.after(STORE_MS, signal))
      .catch(() => undefined)
      .finally(() => {
        this.#isStoring = false;
        if (!signal.aborted && this.#lines?.hasWaiting) this.#storeSoon(signal);
      });
  }

  async #store(): Promise<void> {
    await this.#storing;
    await this.#keep();
  }

  /** Lines of a claim that was passed are the next worker's. */
  async #keep(): Promise<void> {
    const { store, claim, clock, signal, logger } = this.#context;
    const uid = this.#vmi?.metadata?.uid;
    if (!uid || !this.#lines?.hasWaiting) return;
    const taken = this.#lines.take();
    await whileUnavailable({ clock, signal }, () => store.keepSerial(claim, { vmiUid: uid, ...taken })).catch(
      (error: unknown) => logger.debug({ err: error }, 'Storing serial output failed'),
    );
  }
}

function hasRun(vmi: VirtualMachineInstance | undefined): VirtualMachineInstance | undefined {
  return vmi && (vmi.status?.phase === 'Running' || machineEnd(vmi)) ? vmi : undefined;
}
