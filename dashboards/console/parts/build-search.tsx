import type { BuildState } from '../../../common/contracts/builds.ts';
import { goTo } from './place.tsx';

const FIELDS = ['search', 'by', 'state'] as const;
const STATES: readonly BuildState[] = ['queued', 'running', 'succeeded', 'failed', 'cancelled'];

/** Search parameters of the address, as the API takes them. */
export function searchedFor(query: URLSearchParams): URLSearchParams {
  return new URLSearchParams(FIELDS.flatMap((field) => (query.get(field) ? [[field, query.get(field) ?? '']] : [])));
}

/** Asks which builds are shown; the address keeps it. */
export function BuildSearch({ query }: { readonly query: URLSearchParams }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const fields = new URLSearchParams(FIELDS.map((field) => [field, String(form.get(field) ?? '').trim()]));
    const search = searchedFor(fields);
    goTo(search.size === 0 ? '/' : `/?${search}`);
  };
  return (
    // Typed text belongs to the address at which it was typed.
    <search key={`${searchedFor(query)}`}>
      <form class="build-search" onSubmit={submit}>
        <label>
          Module or id <input name="search" type="search" maxLength={200} defaultValue={query.get('search') ?? ''} />
        </label>
        <label>
          Submitted by <input name="by" maxLength={200} autocapitalize="off" defaultValue={query.get('by') ?? ''} />
        </label>
        <label>
          State{' '}
          <select name="state" defaultValue={query.get('state') ?? ''}>
            <option value="">all</option>
            {STATES.map((state) => (
              <option key={state} value={state} selected={state === query.get('state')}>
                {state}
              </option>
            ))}
          </select>
        </label>
        <button type="submit">Search</button>
      </form>
    </search>
  );
}
