import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { ErrorNotice } from './notice.tsx';

interface AskFormProps {
  /** Label that opens the form. */
  readonly label: string;
  /** Subject, if a page has several such forms. */
  readonly subject?: string;
  /** Fields and buttons. */
  readonly children: ComponentChildren;
  /** Asks the farm for what is in the form, with the button that was pressed. Resolves with what to show then. */
  ask(form: FormData): Promise<ComponentChildren>;
}

/** A form that opens in place, and shows what the farm answers or why it refuses. */
export function AskForm({ label, subject, children, ask }: AskFormProps) {
  const [answer, setAnswer] = useState<{ readonly shown: ComponentChildren }>();
  const [error, setError] = useState<Error>();
  const [isAsking, setAsking] = useState(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setAsking(true);
    setError(undefined);
    setAnswer(undefined);
    ask(new FormData(event.currentTarget as HTMLFormElement, event.submitter))
      .then((shown) => setAnswer({ shown }), setError)
      .finally(() => setAsking(false));
  };
  return (
    <details class="push">
      <summary {...(subject === undefined ? {} : { 'aria-label': `${label} ${subject}` })}>{label}</summary>
      <form onSubmit={submit}>
        <fieldset disabled={isAsking}>{children}</fieldset>
      </form>
      {answer && (
        <div class="quiet" role="status">
          {answer.shown}
        </div>
      )}
      <ErrorNotice error={error} />
    </details>
  );
}

/** Text of a field; undefined when empty. */
export function typed(form: FormData, field: string): string | undefined {
  const text = form.get(field);
  return typeof text === 'string' && text.trim() !== '' ? text.trim() : undefined;
}
