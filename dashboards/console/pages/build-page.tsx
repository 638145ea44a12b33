import { addressOf } from '../../../common/contracts/api/request.ts';
import type { BuildView } from '../../../common/contracts/builds.ts';
import { type Identity, includesRole, mayEnter } from '../../../common/contracts/tokens.ts';
import { seconds } from '../../../common/text/durations.ts';
import { useBuild } from '../api/use-build.ts';
import { Age } from '../parts/age.tsx';
import { BuildTimeline } from '../parts/build-timeline.tsx';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { LayerGraphView } from '../parts/layer-graph-view.tsx';
import { LogView } from '../parts/log-view.tsx';
import { moduleHref } from '../parts/module-link.ts';
import { ModuleList } from '../parts/module-list.tsx';
import { ModulePanel } from '../parts/module-panel.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { Link } from '../parts/place.tsx';
import { RetryButton } from '../parts/retry-button.tsx';
import { StageMark } from '../parts/stage-mark.tsx';
import { useNow } from '../parts/use-now.ts';
import { Waits } from '../parts/waits.tsx';
import { Watch } from '../parts/watch.tsx';
import type { BuildModel } from '../state/build-model.ts';
import { moduleStage } from '../state/module-stage.ts';
import { vmKey } from '../state/vm-key.ts';

/** Beyond it a drawing is less useful than a list, and takes long to compute. */
const MAX_DRAWN = 150;

interface BuildPageProps {
  readonly buildId: string;
  /**
   * `module`: the one that is shown; `log`: the machine whose lines are shown, as `<module>/<vm>`; `part`: the phase or step
   * of it, as the archive of the build names its file; `watch`: the machine whose screen is shown.
   */
  readonly query: URLSearchParams;
  /** Undefined while it is not known. */
  readonly identity: Identity | undefined;
}

/** One build, live. */
export function BuildPage({ buildId, query, identity }: BuildPageProps) {
  const { model, error, isConnected, refresh } = useBuild(buildId);
  const mayBuild = identity !== undefined && includesRole(identity.role, 'builder');
  return (
    <>
      <PageTitle title={model?.view.run ? `Clone of ${model.view.run}` : `Build ${buildId}`}>
        {model && model.view.finishedAt === null && mayBuild && <CancelButton view={model.view} />}
        {model && mayBuild && mayRetry(model.view) && <RetryButton buildId={buildId} />}
        {model && mayBuild && (
          <a href={addressOf('downloadArchive', { params: { id: buildId } })} download>
            Download everything
          </a>
        )}
      </PageTitle>
      <ErrorNotice error={error} />
      {!model && !error && <Loading />}
      {model && !isConnected && model.view.finishedAt === null && (
        <p class="notice" role="status">
          The connection to the farm was lost; reconnecting. The page may be out of date.
        </p>
      )}
      {model && <Build model={model} query={query} identity={identity} refresh={refresh} />}
    </>
  );
}

function mayRetry({ state, run }: BuildView): boolean {
  return run === null && (state === 'failed' || state === 'cancelled');
}

function CancelButton({ view: { buildId, run } }: { readonly view: BuildView }) {
  return (
    <ConfirmButton
      operation="cancelBuild"
      request={{ params: { id: buildId } }}
      label={run === null ? 'Cancel build' : 'Stop the clone'}
      yes={run === null ? 'Yes, cancel it' : 'Yes, stop it'}
      no="Let it run"
      asked={run === null ? 'Cancelling…' : 'Stopping…'}
      isDanger
    />
  );
}

interface BuildProps extends Pick<BuildPageProps, 'query' | 'identity'> {
  readonly model: BuildModel;
  refresh(): void;
}

function Build({ model, query, identity, refresh }: BuildProps) {
  const { view } = model;
  const mayAnswer = identity !== undefined && mayEnter(identity, view);
  const now = useNow(view.finishedAt === null);
  const selected = view.modules.find(({ name }) => name === query.get('module')) ?? mostRelevant(view);
  const watched = machineNamed(view, query.get('watch'));
  const isDrawn = view.modules.length <= MAX_DRAWN;
  return (
    <>
      <Summary view={view} now={now} />
      <WaitingMachines view={view} />
      {view.finishedAt === null && <Waits buildId={view.buildId} now={now} />}
      {isDrawn && <LayerGraphView view={view} selected={selected?.name} />}
      {!isDrawn && <ModuleList modules={view.modules} selected={selected?.name} />}
      <BuildTimeline model={model} now={now} />
      <div class="columns">
        {selected && <ModulePanel model={model} module={selected} now={now} mayAnswer={mayAnswer} refresh={refresh} />}
        <LogView view={view} log={model.log} machine={query.get('log')} part={query.get('part')} />
      </div>
      {watched && (
        <Watch
          key={query.get('watch')}
          buildId={view.buildId}
          {...watched}
          isClone={view.run !== null}
          owner={view.submittedBy}
          mayAnswer={mayAnswer}
          refresh={refresh}
        />
      )}
    </>
  );
}

/** The machine of that name, `<module>/<vm>`, with its module. */
function machineNamed({ modules }: BuildView, name: string | null) {
  return modules
    .flatMap((module) => module.vms.map((vm) => ({ module, vm })))
    .find(({ module, vm }) => vmKey(module.name, vm.vm) === name);
}

function Summary({ view, now }: { readonly view: BuildView; readonly now: number }) {
  const { state, createdAt, finishedAt, modules } = view;
  return (
    <p class="facts">
      <span role="status">
        <StageMark stage={state} />
      </span>
      <span>
        {modules.length} {modules.length === 1 ? 'module' : 'modules'}
      </span>
      <span>
        accepted <Age at={createdAt} />
      </span>
      <span>
        {finishedAt === null ? 'for' : 'took'} {seconds(Math.max(0, (finishedAt ?? now) - createdAt))}
      </span>
    </p>
  );
}

/** The machines that wait for a person, wherever they are on the page. */
function WaitingMachines({ view }: { readonly view: BuildView }) {
  const waiting = view.modules.flatMap(({ name, vms }) =>
    vms.filter(({ handbuild }) => handbuild !== null).map(({ vm }) => ({ module: name, vm })),
  );
  return (
    <div role="status">
      {waiting.length > 0 && (
        <p class="notice person">
          {waiting.map(({ module, vm }, index) => (
            <span key={vmKey(module, vm)}>
              {index > 0 && ', '}
              <Link href={moduleHref(module)}>{vmKey(module, vm)}</Link>
            </span>
          ))}{' '}
          {waiting.length === 1 ? 'waits' : 'wait'} for a person.
        </p>
      )}
    </div>
  );
}

/**
 * The module that a person most likely looks for: one that waits for a person, else one that failed by itself, else a running one, else
 * the first one.
 */
function mostRelevant({ modules }: BuildView) {
  return (
    modules.find((module) => moduleStage(module) === 'waits for you') ??
    modules.find(({ failure }) => failure !== null && failure.reason !== 'ParentFailed') ??
    modules.find(({ state }) => state === 'running') ??
    modules.find(({ vms }) => vms.length > 0) ??
    modules[0]
  );
}
