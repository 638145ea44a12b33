import type { Clock } from '../../../common/clock/clock.ts';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import type { LookAgain } from '../../../common/kubernetes/wait-for.ts';
import { importVerdict, type Verdict } from './import-verdict.ts';

/** Judges volumes while they are waited for: a volume that makes no progress for the same reason for too long has failed. */
export class VolumePatience {
  readonly #clock: Clock;
  /** By the name of the volume: the obstacle, and since when this worker has seen it. */
  readonly #obstacles = new Map<string, { readonly message: string; readonly since: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `lookAgain` is asked for the moment when the verdict may become another one. */
  judge(volume: DataVolume, lookAgain: LookAgain): Exclude<Verdict, { kind: 'stuck' }> {
    const name = volume.metadata?.name ?? '';
    const verdict = importVerdict(volume);
    if (verdict.kind !== 'stuck') {
      this.#obstacles.delete(name);
      return verdict;
    }
    const { graceMs, reason, message } = verdict;
    const now = this.#clock.now();
    const known = this.#obstacles.get(name);
    const since = known?.message === message ? known.since : now;
    this.#obstacles.set(name, { message, since });
    const leftMs = since + graceMs - now;
    if (leftMs <= 0) return { kind: 'failed', reason, message };
    lookAgain(leftMs);
    return { kind: 'running', progress: volume.status?.progress };
  }
}
