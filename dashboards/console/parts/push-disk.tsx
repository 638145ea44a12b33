import { useState } from 'preact/hooks';
import type { PushView } from '../../../common/contracts/exports.ts';
import { callForEvents } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';

interface PushProps {
  /** `module:version` */
  readonly image: string;
  readonly vm: string;
  readonly disk: string;
}

/** Asks for the target of a push, and shows its progress. */
export function PushDisk({ image, vm, disk }: PushProps) {
  const [view, setView] = useState<PushView>();
  const [error, setError] = useState<Error>();
  const [isPushing, setPushing] = useState(false);
  const push = async (form: FormData) => {
    const [reference, secret] = [String(form.get('reference')), String(form.get('secret'))];
    const order = { reference, vm, disk, ...(secret === '' ? {} : { secret }) };
    for await (const progress of callForEvents('pushImage', { params: { image }, body: order })) {
      setView(progress);
      if (progress.error) throw new Error(progress.error.message);
    }
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setPushing(true);
    setError(undefined);
    setView(undefined);
    push(new FormData(event.currentTarget as HTMLFormElement))
      .catch(setError)
      .finally(() => setPushing(false));
  };
  return (
    <details class="push">
      <summary aria-label={`Push ${image} ${vm} ${disk}`}>Push</summary>
      <form onSubmit={submit}>
        <label>
          To <input name="reference" required placeholder="quay.io/me/base:3" autocapitalize="off" spellcheck={false} />
        </label>
        <label>
          Secret with USER:PASSWORD <input name="secret" autocapitalize="off" spellcheck={false} />
        </label>
        <button type="submit" disabled={isPushing}>
          Push
        </button>
      </form>
      {view && view.state !== 'failed' && (
        <span class="quiet" role="status">
          {view.state === 'pushed' ? `pushed, ${view.digest}` : `${view.state}, ${view.percent} %`}
        </span>
      )}
      <ErrorNotice error={error} />
    </details>
  );
}
