import { addressOf } from '../../../common/contracts/api/request.ts';
import type { ModuleView, PhaseView, VmView } from '../../../common/contracts/builds.ts';
import { stepPart } from '../../../common/contracts/log-part.ts';
import { seconds } from '../../../common/text/durations.ts';
import { printable } from '../../../common/text/printable.ts';
import { waitingWords } from '../../../common/text/waiting.ts';
import { vmAddress } from '../api/vm-address.ts';
import type { Attempt } from '../state/build-model.ts';
import { vmStage } from '../state/module-stage.ts';
import type { Span } from '../state/timeline.ts';
import { vmKey } from '../state/vm-key.ts';
import { hasSerial, isWatchable, machineStateOf } from '../state/watching.ts';
import { Bars } from './bars.tsx';
import { FailureNotice } from './failure-notice.tsx';
import { HandbuildNotice } from './handbuild-notice.tsx';
import { logHref, watchHref } from './module-link.ts';
import { Link } from './place.tsx';
import { Screen } from './screen.tsx';
import { StageMark } from './stage-mark.tsx';
import { TableHead } from './table-head.tsx';

interface VmCardProps {
  readonly buildId: string;
  readonly module: ModuleView;
  readonly vm: VmView;
  readonly attempts: readonly Attempt[];
  /** Range of the timelines: the same for all machines of the module. */
  readonly span: Span | null;
  readonly now: number;
  /** Owner of the build. */
  readonly owner: string | null;
  readonly mayAnswer: boolean;
  /** Reads the build again. */
  refresh(): void;
}

/** States of phases that were given to a queue. */
const HAS_JOB: ReadonlySet<PhaseView['state']> = new Set(['queued', 'running', 'succeeded', 'failed']);

/** One machine of a module: its phases on a line of time, its steps, its failure and its screen. */
export function VmCard({ buildId, module, vm, attempts, span, now, owner, mayAnswer, refresh }: VmCardProps) {
  const address = vmAddress(buildId, module, vm);
  const isLive = machineStateOf(vm) === 'up';
  return (
    <article class="vm" aria-label={`Machine ${vm.vm}`}>
      <div class="card-title">
        <h3>{vm.vm}</h3>
        <StageMark stage={vmStage(vm)} />
        <Link href={logHref(vmKey(module.name, vm.vm))}>Its log</Link>
        {module.layerBuild !== null && vm.phases.some(({ state }) => HAS_JOB.has(state)) && (
          <a href={`/layer-builds/${module.layerBuild}/vms/${encodeURIComponent(vm.vm)}/job`}>Its job</a>
        )}
        {(isWatchable(module, vm) || hasSerial(module, vm)) && (
          <Link href={watchHref(vmKey(module.name, vm.vm))}>{isWatchable(module, vm) ? 'Watch' : 'Serial port'}</Link>
        )}
      </div>
      {vm.handbuild && (
        <HandbuildNotice {...{ address, owner, mayAnswer }} handbuild={vm.handbuild} onAnswer={refresh} />
      )}
      <WaitingNotice phases={vm.phases} now={now} />
      <PhaseLines phases={vm.phases} attempts={attempts} span={span} now={now} />
      <FormerAttempts attempts={attempts} now={now} />
      {vm.failure && <FailureNotice failure={vm.failure} place={failedPlace(vmKey(module.name, vm.vm), vm)} />}
      {vm.steps.length > 0 && <Steps machine={vmKey(module.name, vm.vm)} vm={vm} now={now} />}
      {(isLive || vm.screenshot !== null) && (
        <Screen name={vm.vm} path={addressOf('readScreenshot', address)} isLive={isLive} />
      )}
    </article>
  );
}

/** The step that failed, else the phase. */
function failedPlace(machine: string, { steps, phases }: VmView) {
  const step = steps.find(({ state }) => state === 'failed');
  if (step) {
    const { index, name, type } = step;
    const part = stepPart({ step: index, name, type });
    return { href: logHref(machine, part), name: `step ${index + 1}, ${printable(name ?? type)}` };
  }
  const phase = phases.find(({ state }) => state === 'failed')?.phase;
  return phase && { href: logHref(machine, phase), name: `phase ${phase}` };
}

/** A retried operation of a phase: its error, start and deadline. */
function WaitingNotice({ phases, now }: Pick<PhaseLinesProps, 'phases' | 'now'>) {
  const waiting = phases.find((phase) => phase.waiting !== null)?.waiting;
  if (!waiting) return null;
  return (
    <p class="notice waiting">
      {waitingWords(waiting)}. Tried for {seconds(Math.max(0, now - waiting.since))}, given up in{' '}
      {seconds(Math.max(0, waiting.deadline - now))}.
    </p>
  );
}

interface PhaseLinesProps {
  readonly phases: readonly PhaseView[];
  readonly attempts: readonly Attempt[];
  readonly span: Span | null;
  readonly now: number;
}

function PhaseLines({ phases, attempts, span, now }: PhaseLinesProps) {
  return (
    <ul class="timeline phases">
      {phases.map(({ phase, state }) => {
        const own = attempts.filter((attempt) => attempt.phase === phase);
        const last = own.at(-1);
        const tookMs = last && (last.finishedAt ?? now) - last.startedAt;
        return (
          <li key={phase}>
            <span>{phase}</span>
            {span && own.length > 0 ? <Bars attempts={own} span={span} now={now} /> : <span class="no-bar" />}
            <span class="number">
              {tookMs !== undefined && seconds(Math.max(0, tookMs))}{' '}
              {state !== 'succeeded' && <span class="quiet">{WORDS[state]}</span>}
              {last?.why && <span class="quiet"> ({last.why})</span>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** State of an unfinished phase. */
const WORDS: Readonly<Record<PhaseView['state'], string>> = {
  waiting: 'waiting',
  ready: 'waits for room',
  queued: 'waits for a worker',
  running: 'running',
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'cancelled',
  skipped: 'skipped',
};

/** Attempts that were not the last one of their phase. */
function FormerAttempts({ attempts, now }: { readonly attempts: readonly Attempt[]; readonly now: number }) {
  const former = attempts.filter(
    (attempt, index) => attempts.findLastIndex(({ phase }) => phase === attempt.phase) !== index,
  );
  if (former.length === 0) return null;
  return (
    <details>
      <summary>Earlier attempts: {former.length}</summary>
      <ul>
        {former.map(({ phase, number, why, outcome, startedAt, finishedAt, failure }) => (
          <li key={`${phase} ${startedAt}`}>
            {phase}, {why || `attempt ${number}`}: {outcome === 'requeue' ? 'tried again' : (outcome ?? 'given up')}{' '}
            after {seconds((finishedAt ?? now) - startedAt)}
            {failure && `: ${failure.reason}: ${printable(failure.message)}`}
          </li>
        ))}
      </ul>
    </details>
  );
}

interface StepsProps extends Pick<VmCardProps, 'vm' | 'now'> {
  /** `<module>/<vm>`. */
  readonly machine: string;
}

function Steps({ machine, vm, now }: StepsProps) {
  return (
    <table class="compact steps">
      <caption>Steps</caption>
      <TableHead columns={['Step', 'State', 'Took']} isUnseen />
      <tbody>
        {vm.steps.map(({ index, name, type, state, startedAt, finishedAt, exitCode }) => (
          <tr key={index}>
            <td>
              <Link href={logHref(machine, stepPart({ step: index, name, type }))}>
                {index + 1}. {printable(name ?? type)}
              </Link>{' '}
              {name !== null && <span class="quiet">{type}</span>}
            </td>
            <td class="nowrap">
              <StageMark stage={vm.handbuild?.step === index ? 'waits for you' : state} />
              {exitCode !== null && exitCode !== 0 && <span class="quiet"> exit code {exitCode}</span>}
            </td>
            <td class="number nowrap">{startedAt !== null && seconds(Math.max(0, (finishedAt ?? now) - startedAt))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
