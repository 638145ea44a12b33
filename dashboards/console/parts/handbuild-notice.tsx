import type { AddressOf } from '../../../common/contracts/api/request.ts';
import type { VmView } from '../../../common/contracts/builds.ts';
import type { Kept, KeptAnswer } from '../../../common/contracts/events.ts';
import { printable } from '../../../common/text/printable.ts';
import { Age } from './age.tsx';
import { ConfirmButton } from './confirm-button.tsx';

interface HandbuildProps {
  /** Where the API is asked to let the step continue. */
  readonly address: AddressOf<'continueHandbuild'>;
  readonly handbuild: NonNullable<VmView['handbuild']>;
  /** Whose build it is: they and admins decide about its steps. */
  readonly owner: string | null;
  readonly mayAnswer: boolean;
  /** Called when the farm was asked to let the step continue. */
  onAnswer(): void;
}

/** The task of a person at a step, and the button that continues. Instructions are shown as text, line by line. */
export function HandbuildNotice({ address, handbuild, owner, mayAnswer, onAnswer }: HandbuildProps) {
  const { step, name, instructions, since, kept } = handbuild;
  return (
    <section class="notice person handbuild" aria-label="By hand">
      <p>
        <strong>Step {step + 1}</strong>
        {name !== null && (
          <>
            {' '}
            <q>{printable(name)}</q>
          </>
        )}{' '}
        {waitsHow(kept)} {mayAnswer ? 'you' : 'a person'}. It asked <Age at={since} />
        {kept && `, and is given up at ${new Date(kept.until).toLocaleTimeString()}`}.
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys */}
      <p class="instructions" tabIndex={0}>
        {instructions.split(/\r?\n/).map(printable).join('\n')}
      </p>
      {mayAnswer && kept && (
        <KeptAnswers key={`${step} ${since}`} why={kept.why} address={address} onAnswer={onAnswer} />
      )}
      {mayAnswer && !kept && (
        <ConfirmButton
          key={`${step} ${since}`}
          operation="continueHandbuild"
          request={address}
          label="Continue"
          yes="Yes, it is done"
          no="Not yet"
          asked="Continues as soon as the machine answers…"
          onAnswer={onAnswer}
        />
      )}
      {!mayAnswer && (
        <p class="quiet">
          {owner === null ? 'An admin' : `The owner of the build (${owner}) or an admin`} must do it and continue the
          build.
        </p>
      )}
    </section>
  );
}

function waitsHow(kept: Kept | null): string {
  if (!kept) return 'waits for';
  return kept.why === 'failed' ? 'failed, and its machine is kept for' : 'has not run yet and waits for';
}

/** Answers to a step whose machine is kept. */
function KeptAnswers({ why, address, onAnswer }: Pick<HandbuildProps, 'address' | 'onAnswer'> & Pick<Kept, 'why'>) {
  const asked = 'Continues as soon as the machine answers…';
  const answered = (answer: KeptAnswer) => ({ ...address, query: { ...address.query, answer } });
  return (
    <div class="actions">
      <ConfirmButton
        {...{ asked, onAnswer }}
        operation="continueHandbuild"
        request={answered('retry')}
        label={why === 'failed' ? 'Run it again' : 'Run it'}
        yes="Run it"
        no="Not yet"
      />
      <ConfirmButton
        {...{ asked, onAnswer }}
        operation="continueHandbuild"
        request={answered('skip')}
        label="Skip it"
        yes="Continue without it"
        no="Not yet"
      />
      <ConfirmButton
        {...{ onAnswer }}
        operation="continueHandbuild"
        request={answered('release')}
        label="Give it up"
        yes="Let the module fail"
        no="Keep the machine"
        asked="The module fails…"
        isDanger
      />
    </div>
  );
}
