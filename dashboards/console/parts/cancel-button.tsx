import { useState } from 'preact/hooks';
import { post } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';

/** Cancels a build after a second press, so that a slip costs nothing. */
export function CancelButton({ buildId }: { readonly buildId: string }) {
  const [step, setStep] = useState<'idle' | 'sure' | 'asked'>('idle');
  const [error, setError] = useState<Error>();
  const cancel = () => {
    setStep('asked');
    setError(undefined);
    post(`/api/v1/builds/${encodeURIComponent(buildId)}/cancel`).catch((cause: Error) => {
      setError(cause);
      setStep('idle');
    });
  };
  return (
    <div class="actions">
      {step === 'idle' && (
        <button type="button" onClick={() => setStep('sure')}>
          Cancel build
        </button>
      )}
      {step === 'sure' && (
        <>
          <button type="button" class="danger" onClick={cancel}>
            Yes, cancel it
          </button>
          <button type="button" onClick={() => setStep('idle')}>
            Let it run
          </button>
        </>
      )}
      {step === 'asked' && (
        <span class="quiet" role="status">
          Cancelling…
        </span>
      )}
      <ErrorNotice error={error} />
    </div>
  );
}
