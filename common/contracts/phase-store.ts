import type { FarmEvent, Kept, KeptAnswer } from './events.ts';
import type { Failure } from './failures.ts';
import type { LayerRecord, LayerSpec, LayerVm } from './layers.ts';
import type { JobReference } from './phases.ts';

/** Output of an executor. References only: no large values, no secrets. */
export type PhaseResult =
  | { readonly outcome: 'succeeded'; readonly layerVm?: LayerVm }
  | { readonly outcome: 'failed'; readonly failure: Failure }
  /** `isPlanned`: the worker was stopped on purpose; its consequences count towards no bound. */
  | { readonly outcome: 'requeue'; readonly afterMs: number; readonly why: string; readonly isPlanned?: true }
  | { readonly outcome: 'cancelled' };

/** The right to work on a phase, until a later claim raises the epoch. */
export interface PhaseClaim {
  readonly job: JobReference;
  readonly epoch: number;
  /** Random, and what every change is checked by: an epoch may be given twice when Redis fails over and loses the first. */
  readonly fence: string;
  readonly cluster: string;
  readonly spec: LayerSpec;
  /**
   * The secrets that the spec refers to, by name, sealed under the farm's key: the values that the layer's key was made
   * from, even if they have changed since.
   */
  readonly secrets: Readonly<Record<string, string>>;
  /** Records of the layers that the spec's disks start from, by layerKey. */
  readonly parents: Readonly<Record<string, LayerRecord>>;
  /** How often the phase was claimed before: more than 0 means that something may be adopted. */
  readonly formerClaims: number;
  /** How long the machine of a failed step is kept for a person (ms); null: not at all. */
  readonly keepMs: number | null;
  /** Steps before which a person was asked for, as `isMeantStep` reads them. */
  readonly pauseBefore: readonly string[];
}

/** A shared source of a cluster that a phase uses. */
export interface UsedSource {
  readonly name: string;
  /** Name of it for readers, without secrets. */
  readonly what: string;
  /** How long it is kept when its last build has ended (ms); 0: it is not whole, and goes with the last build that wants it. */
  readonly keepMs: number;
}

/** Description of a step that waits for a person. */
export type HandbuildEvent = Extract<FarmEvent, { event: 'handbuild-waiting' }>;

/** State of a step that waits for a person. `over`: its deadline passed first. */
export interface PauseState {
  readonly state: 'waiting' | 'continued' | 'over';
  /** Since it began to wait, whichever worker saw that. */
  readonly elapsedMs: number;
  /** Answer of the person to the failed step. */
  readonly answer?: KeptAnswer;
}

/** A step that has begun to wait for a person. */
export interface LastPause {
  readonly step: number;
  /** For a kept step: why it is kept, how often it was retried, and its failure. */
  readonly kept: (Pick<Kept, 'why' | 'attempt'> & { readonly message: string }) | null;
}

/** Lines of a serial port, and how many bytes of its log were read with them, from the beginning. */
export interface SerialRead {
  readonly vmiUid: string;
  readonly lines: readonly string[];
  readonly readBytes: number;
}

/**
 * Access of workers to the farm's state. Every method that changes something checks the claim's epoch and throws
 * `Superseded` when a later claim has passed it; all may throw `RedisUnavailable`.
 */
export interface PhaseStore {
  /**
   * Takes the phase over, raising its epoch, and emits `phase-started`. Null when the job is not current any more:
   * committed, cancelled, or of a former generation. A caller that repeats the request with the same random `fence` has
   * claimed once.
   */
  claim(job: JobReference, worker: string, fence?: string): Promise<PhaseClaim | null>;
  /** Resolves when the claim is still current. Call before keys, step starts and deletes. */
  assertCurrent(claim: PhaseClaim): Promise<void>;
  /** Records the outcome and moves what depends on it to the ready set. Idempotent. */
  commit(claim: PhaseClaim, result: PhaseResult): Promise<void>;
  /** Appends to the event streams of every build that waits for the layer. */
  emit(claim: PhaseClaim, event: FarmEvent): Promise<void>;
  /**
   * Aborted when the phase should stop: no build wants it any more (reason `Cancelled`), or another worker has taken over
   * (reason `Superseded`). Triggered by notification, not by polling. Ends with `signal`.
   */
  watch(claim: PhaseClaim, signal: AbortSignal): Promise<AbortSignal>;
  /**
   * Begins to wait for a person, or finds that the wait has begun already: reports `event` once, and returns the state.
   * `limitMs` is how long it may wait in all; null: without a limit.
   */
  pause(claim: PhaseClaim, event: HandbuildEvent, limitMs: number | null): Promise<PauseState>;
  /** The last step of the VM that has begun to wait for a person in this generation, even if it has ended; or null. */
  lastPause(claim: PhaseClaim): Promise<LastPause | null>;
  /** Stores serial output of the VM's machine, and how far its log was read. */
  keepSerial(claim: PhaseClaim, piece: SerialRead): Promise<void>;
  /** How many bytes of the log of that very machine were read before. */
  serialPosition(claim: PhaseClaim, vmiUid: string): Promise<number>;
  /** Calls `look` whenever a step of the VM may have begun or ended to wait. Returns how to stop. */
  onPauseChange(claim: PhaseClaim, look: () => void): () => void;
  /**
   * Records that the layer build uses a source: it is not removed until the layer build has ended. Null: it may be used. Otherwise its removal was
   * decided before, and the existing objects are removed; when all of that is gone, ask again with the `removal` that was returned.
   */
  useSource(claim: PhaseClaim, source: UsedSource, removal?: string): Promise<string | null>;
  /** Keeps a picture of the screen as evidence (PNG), shown by the HTTP API. */
  saveScreenshot(claim: PhaseClaim, png: Buffer): Promise<void>;
}
