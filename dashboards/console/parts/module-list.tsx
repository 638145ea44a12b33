import { useState } from 'preact/hooks';
import type { ModuleView } from '../../../common/contracts/builds.ts';
import { moduleStage } from '../state/module-stage.ts';
import { moduleHref } from './module-link.ts';
import { Link } from './place.tsx';
import { StageMark } from './stage-mark.tsx';

/** As many rows as a page bears; the filter finds the others. */
const MAX_ROWS = 300;

interface ListProps {
  readonly modules: readonly ModuleView[];
  readonly selected: string | undefined;
}

/** Modules that are too many for a drawing. */
export function ModuleList({ modules, selected }: ListProps) {
  const [filter, setFilter] = useState('');
  const found = modules.filter((module) => module.name.includes(filter) || moduleStage(module) === filter);
  return (
    <section class="card" aria-label="Modules">
      <label class="field">
        Modules by name or state
        <input type="search" value={filter} onInput={({ currentTarget }) => setFilter(currentTarget.value.trim())} />
      </label>
      <ul class="module-list">
        {found.slice(0, MAX_ROWS).map((module) => (
          <li key={module.name}>
            <StageMark stage={moduleStage(module)} />{' '}
            <Link href={moduleHref(module.name)} isCurrent={module.name === selected}>
              {module.name}
            </Link>
          </li>
        ))}
      </ul>
      {found.length > MAX_ROWS && <p class="quiet">and {found.length - MAX_ROWS} more: filter to see them</p>}
    </section>
  );
}
