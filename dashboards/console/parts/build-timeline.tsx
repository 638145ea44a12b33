import { seconds } from '../../../common/text/durations.ts';
import { allAttempts } from '../state/attempts.ts';
import type { BuildModel } from '../state/build-model.ts';
import { spanOf } from '../state/timeline.ts';
import { vmKey } from '../state/vm-key.ts';
import { Bars } from './bars.tsx';
import { moduleHref } from './module-link.ts';
import { Link } from './place.tsx';

const MAX_ROWS = 40;

/** Every machine of a build on one line of time. */
export function BuildTimeline({ model, now }: { readonly model: BuildModel; readonly now: number }) {
  const rows = model.view.modules.flatMap((module) =>
    module.vms.map(({ vm, phases }) => {
      const key = vmKey(module.name, vm);
      return { key, module: module.name, attempts: allAttempts(model.attempts.get(key) ?? [], phases) };
    }),
  );
  const span = spanOf(
    rows.flatMap(({ attempts }) => attempts),
    now,
  );
  const phases = model.view.modules.flatMap(({ vms }) => vms)[0]?.phases ?? [];
  if (!span) return null;
  const started = rows.filter(({ attempts }) => attempts.length > 0);
  return (
    <section class="card" aria-labelledby="timeline">
      <div class="card-title">
        <h2 id="timeline">Timeline</h2>
        <span class="legend quiet">
          {phases.map(({ phase }) => (
            <span key={phase}>
              <svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
                <rect class={`bar phase-${phase}`} width="10" height="10" />
              </svg>{' '}
              {phase}
            </span>
          ))}
        </span>
      </div>
      <ul class="timeline">
        {started.slice(0, MAX_ROWS).map(({ key, module, attempts }) => (
          <li key={key}>
            <Link href={moduleHref(module)}>{key}</Link>
            <Bars attempts={attempts} span={span} now={now} />
            <span class="number quiet">{seconds(lengthOf(spanOf(attempts, now)))}</span>
          </li>
        ))}
      </ul>
      {started.length > MAX_ROWS && <p class="quiet">and {started.length - MAX_ROWS} more machines</p>}
    </section>
  );
}

function lengthOf(span: ReturnType<typeof spanOf>): number {
  return span ? span.toMs - span.fromMs : 0;
}
