import type { RunView } from '../../../common/contracts/runs.ts';
import { seconds } from '../../../common/text/durations.ts';
import { useResource } from '../api/use-resource.ts';
import { Age } from '../parts/age.tsx';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { Link } from '../parts/place.tsx';
import { StageMark } from '../parts/stage-mark.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { useNow } from '../parts/use-now.ts';

const REFRESH_MS = 5_000;

interface RunsPageProps {
  readonly mayBuild: boolean;
}

/** The clones that run, newest first. */
export function RunsPage({ mayBuild }: RunsPageProps) {
  const { value, error, reload } = useResource('listRuns', {}, REFRESH_MS);
  return (
    <>
      <PageTitle title="Clones" />
      <ErrorNotice error={error} />
      {!value && !error && <Loading />}
      {value?.runs.length === 0 && (
        <div class="empty">
          <p>No clones are running.</p>
          <p>
            <code>slipway run IMAGE</code>
          </p>
        </div>
      )}
      {value && value.runs.length > 0 && <RunTable runs={value.runs} mayBuild={mayBuild} onChange={reload} />}
    </>
  );
}

interface RunTableProps extends RunsPageProps {
  readonly runs: readonly RunView[];
  onChange(): void;
}

function RunTable({ runs, mayBuild, onChange }: RunTableProps) {
  const now = useNow(true);
  return (
    <table class="list">
      <TableHead columns={['State', 'Image', 'Machines', 'Started', 'Time', ...(mayBuild ? ['Stop'] : [])]} />
      <tbody>
        {runs.map((run) => (
          <RunRow key={run.buildId} {...{ run, now, mayBuild, onChange }} />
        ))}
      </tbody>
    </table>
  );
}

interface RunRowProps extends Omit<RunTableProps, 'runs'> {
  readonly run: RunView;
  readonly now: number;
}

function RunRow({ run, now, mayBuild, onChange }: RunRowProps) {
  const { buildId, image, state, by, createdAt, until, ttlMs, cluster, vms } = run;
  const [module = ''] = image.split(':');
  return (
    <tr>
      <td class="nowrap">{state === 'running' ? <StageMark stage="running" /> : <span class="quiet">{state}</span>}</td>
      <td class="nowrap">
        <strong>{image}</strong>
        <div class="quiet">on {cluster}</div>
      </td>
      <td class="wide">
        <ul>
          {vms.map(({ vm, isUp, isOff }) => (
            <li key={vm}>
              <Link href={`/builds/${buildId}?watch=${encodeURIComponent(`${module}/${vm}`)}`}>{vm}</Link>{' '}
              <span class="quiet">{isUp ? 'is up' : isOff ? 'is off' : 'is not up yet'}</span>
              {isUp && (
                <div>
                  <code>
                    slipway ssh {buildId}/{vm}
                  </code>
                </div>
              )}
            </li>
          ))}
        </ul>
      </td>
      <td class="nowrap">
        <Age at={createdAt} />
        {by !== null && <div class="quiet">by {by}</div>}
      </td>
      <td class="nowrap">{seconds(until === null ? ttlMs : Math.max(0, until - now))} left</td>
      {mayBuild && (
        <td class="nowrap">
          <ConfirmButton
            operation="cancelBuild"
            request={{ params: { id: buildId } }}
            label="Stop"
            yes={`Stop this clone of ${image}`}
            no="Let it run"
            asked="Stopping…"
            isDanger
            onAnswer={onChange}
          />
        </td>
      )}
    </tr>
  );
}
