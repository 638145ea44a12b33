import type { PhaseContext } from '../../context/phase-context.ts';

/** A line for each tenth of an import, not for each of CDI's. */
const STEP_PERCENT = 10;

/** Reports the progress of an import to the waiting builds. */
export class ProgressLog {
  readonly #context: PhaseContext;
  readonly #reported = new Map<string, number>();

  constructor(context: PhaseContext) {
    this.#context = context;
  }

  /** One line, for the import's log. Losing it must not hurt the import. */
  write(line: string): void {
    const { claim, store, logger } = this.#context;
    const { vm, phase } = claim.job;
    const event = { event: 'log', module: claim.spec.module.name, vm, phase, source: 'import', line } as const;
    store.emit(claim, event).catch((error) => logger.debug({ err: error }, 'A log line was lost'));
  }

  /** `progress` as CDI writes it: `42.17%` or `N/A`. */
  progress(what: string, progress: string | undefined): void {
    const percent = Number.parseFloat(progress ?? '');
    if (Number.isNaN(percent)) return;
    const step = Math.floor(percent / STEP_PERCENT);
    if (step <= (this.#reported.get(what) ?? 0)) return;
    this.#reported.set(what, step);
    this.write(`${what}: ${Math.floor(percent)} %`);
  }
}
