import type { AnswerOf } from '../../../common/contracts/api/request.ts';
import type { BuildSummary } from '../../../common/contracts/builds.ts';
import { seconds } from '../../../common/text/durations.ts';
import { useResource } from '../api/use-resource.ts';
import { Age } from '../parts/age.tsx';
import { BuildSearch, searchedFor } from '../parts/build-search.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { Pager, pageQuery } from '../parts/pager.tsx';
import { Link } from '../parts/place.tsx';
import { StageIcon, StageMark } from '../parts/stage-mark.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useNow } from '../parts/use-now.ts';

const REFRESH_MS = 5_000;
/** Builds may have thousands of modules; their page shows all. */
const MODULES_SHOWN = 12;

/** The builds of the farm, newest first. */
export function BuildsPage({ query }: { readonly query: URLSearchParams }) {
  const search = searchedFor(query);
  const asked = { clones: 'false' as const, ...pageQuery(query), ...Object.fromEntries(search) };
  const { value, error } = useResource('listBuilds', { query: asked }, REFRESH_MS);
  return (
    <>
      <PageTitle title="Builds" />
      <BuildSearch query={query} />
      <ErrorNotice error={error} />
      {value ? <BuildList {...value} isFirst={!query.has('cursor')} search={search} /> : !error && <Loading />}
    </>
  );
}

type ListProps = AnswerOf<'listBuilds'> & { readonly isFirst: boolean; readonly search: URLSearchParams };

function BuildList({ builds, nextCursor, isFirst, search }: ListProps) {
  const now = useNow(builds.some(({ finishedAt }) => finishedAt === null));
  if (builds.length === 0 && nextCursor === null)
    return search.size === 0 ? <Empty /> : <p class="empty">No build matches.</p>;
  return (
    <>
      <table class="list">
        <TableHead columns={['State', 'Build', 'By', 'Modules', 'Accepted', 'Took']} numbers={['Took']} />
        <tbody>
          {builds.map((build) => (
            <BuildRow key={build.buildId} build={build} now={now} />
          ))}
        </tbody>
      </table>
      <Pager path="/" isFirst={isFirst} nextCursor={nextCursor} search={search} />
    </>
  );
}

function BuildRow({ build, now }: { readonly build: BuildSummary; readonly now: number }) {
  const { buildId, state, submittedBy, modules, createdAt, finishedAt } = build;
  return (
    <tr>
      <td>
        <StageMark stage={state} />
      </td>
      <td>
        <Link href={`/builds/${buildId}`} class="code">
          {buildId}
        </Link>
      </td>
      <td>{submittedBy ?? <span class="quiet">-</span>}</td>
      <td class="wide">
        <ul class="chips">
          {modules.slice(0, MODULES_SHOWN).map((module) => (
            <ModuleChip key={module.name} {...module} />
          ))}
          {modules.length > MODULES_SHOWN && <li class="quiet">and {modules.length - MODULES_SHOWN} more</li>}
        </ul>
      </td>
      <td class="nowrap">
        <Age at={createdAt} />
      </td>
      <td class="number nowrap">{seconds(Math.max(0, (finishedAt ?? now) - createdAt))}</td>
    </tr>
  );
}

/** A module that has not ended shows the state of its build, as its own is unknown. */
function ModuleChip({ name, state }: BuildSummary['modules'][number]) {
  const isOpen = state === 'queued' || state === 'running';
  const words = isOpen ? 'not finished' : state;
  return (
    <li title={`${name}: ${words}`}>
      <StageIcon stage={isOpen ? 'waiting' : state} /> {name}
      {state === 'waits for you' ? ': waits for you' : <span class="unseen">: {words}</span>}
    </li>
  );
}

function Empty() {
  return (
    <div class="empty">
      <p>No builds yet, or their records have expired.</p>
      <p>
        <code>slipway build PATH</code>
      </p>
    </div>
  );
}
