import type { ModuleView } from '../../../common/contracts/builds.ts';
import { allAttempts } from '../state/attempts.ts';
import type { BuildModel } from '../state/build-model.ts';
import { moduleStage } from '../state/module-stage.ts';
import { spanOf } from '../state/timeline.ts';
import { vmKey } from '../state/vm-key.ts';
import { FailureNotice } from './failure-notice.tsx';
import { StageMark } from './stage-mark.tsx';
import { VmCard } from './vm-card.tsx';

interface PanelProps {
  readonly model: BuildModel;
  readonly module: ModuleView;
  readonly now: number;
  /** Whether the person decides about steps that wait. */
  readonly mayAnswer: boolean;
  /** Reads the build again. */
  refresh(): void;
}

/** Details of one module: its history and its machines. */
export function ModulePanel({ model, module, now, mayAnswer, refresh }: PanelProps) {
  const { name, failure, vms, images } = module;
  const machines = vms.map((vm) => {
    const started = model.attempts.get(vmKey(name, vm.vm)) ?? [];
    return { vm, attempts: allAttempts(started, vm.phases) };
  });
  const span = spanOf(
    machines.flatMap(({ attempts }) => attempts),
    now,
  );
  return (
    <section class="card module" aria-labelledby="module">
      <div class="card-title">
        <h2 id="module">{name}</h2>
        <StageMark stage={moduleStage(module)} />
      </div>
      <ModuleFacts module={module} run={model.view.run} />
      {failure && !vms.some((vm) => vm.failure?.message === failure.message) && <FailureNotice failure={failure} />}
      {machines.map(({ vm, attempts }) => (
        <VmCard
          key={vmKey(name, vm.vm)}
          buildId={model.view.buildId}
          module={module}
          vm={vm}
          attempts={attempts}
          span={span}
          now={now}
          owner={model.view.submittedBy}
          mayAnswer={mayAnswer}
          refresh={refresh}
        />
      ))}
      {images.length > 0 && <Images name={name} images={images} />}
    </section>
  );
}

/** `run`: the image of a clone, whose module is made for it and does not show what a person would have changed. */
function ModuleFacts({ module, run }: { readonly module: ModuleView; readonly run: string | null }) {
  const { action, why, cluster, generation, layerKey, dependsOn } = module;
  const words = { build: 'built by this build', reuse: 'already built', join: 'joined: another build is building it' };
  return (
    <p class="facts quiet">
      <span>
        {run === null ? words[action] : `started from the image ${run}`}
        {run === null && why !== '' && `: ${why}`}
      </span>
      {dependsOn.length > 0 && <span>on {dependsOn.join(', ')}</span>}
      {cluster !== null && <span>cluster {cluster}</span>}
      {generation !== null && generation > 1 && <span>generation {generation}: started again from its sources</span>}
      <span>
        layer <code title={layerKey}>{layerKey.slice(0, 12)}</code>
      </span>
    </p>
  );
}

function Images({ name, images }: Pick<ModuleView, 'name' | 'images'>) {
  return (
    <>
      <h3>Images</h3>
      <ul class="images">
        {images.map(({ vm, disk, snapshot }) => (
          <li key={snapshot}>
            {vm}/{disk} <code>{snapshot}</code>
          </li>
        ))}
      </ul>
      <p class="quiet">
        Build on it: <code>{`source: { buildRef: { name: ${name} } }`}</code>. All images: <code>slipway images</code>
      </p>
    </>
  );
}
