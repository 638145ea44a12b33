import type { VmView } from '../../../common/contracts/builds.ts';
import { printable } from '../../../common/text/printable.ts';
import { Age } from './age.tsx';
import { ConfirmButton } from './confirm-button.tsx';

interface HandbuildProps {
  /** Of the API, to let the step go on. */
  readonly path: string;
  readonly handbuild: NonNullable<VmView['handbuild']>;
  readonly mayBuild: boolean;
  /** Called when the farm was asked to let the step go on. */
  onAnswer(): void;
}

/** What a step waits for a person to do, and the word that it is done. Instructions are shown as text, line by line. */
export function HandbuildNotice({ path, handbuild, mayBuild, onAnswer }: HandbuildProps) {
  const { step, name, instructions, since } = handbuild;
  return (
    <section class="notice person handbuild" aria-label="By hand">
      <p>
        <strong>Step {step + 1}</strong>
        {name !== null && ` ${printable(name)}`} waits for {mayBuild ? 'you' : 'a person'}. It asked <Age at={since} />.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <p class="instructions" tabIndex={0}>
        {instructions.split(/\r?\n/).map(printable).join('\n')}
      </p>
      {mayBuild ? (
        <ConfirmButton
          key={`${step} ${since}`}
          path={path}
          label="Continue"
          yes="Yes, it is done"
          no="Not yet"
          asked="Goes on as soon as the machine answers…"
          onAnswer={onAnswer}
        />
      ) : (
        <p class="quiet">Whoever has the role builder does it, and lets the build continue.</p>
      )}
    </section>
  );
}
