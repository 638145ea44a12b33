import { useState } from 'preact/hooks';
import type { OperationId } from '../../../common/contracts/api/operations.ts';
import type { RequestOf } from '../../../common/contracts/api/request.ts';
import { call } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';

interface ConfirmProps<Id extends OperationId> {
  /** Request to the API. */
  readonly operation: Id;
  readonly request: RequestOf<Id>;
  readonly label: string;
  /** The two answers to the question whether one is sure. */
  readonly yes: string;
  readonly no: string;
  /** Text after the farm has accepted. */
  readonly asked: string;
  readonly isDanger?: boolean;
  /** Called when the farm has answered, also with an error. */
  onAnswer?(): void;
}

/** Sends a request after a second press, so that a mistake has no effect. A refusal is shown. */
export function ConfirmButton<Id extends OperationId>({
  operation,
  request,
  label,
  yes,
  no,
  asked,
  isDanger = false,
  onAnswer,
}: ConfirmProps<Id>) {
  const [step, setStep] = useState<'idle' | 'sure' | 'asked'>('idle');
  const [error, setError] = useState<Error>();
  const ask = () => {
    setStep('asked');
    setError(undefined);
    call(operation, request)
      .catch((cause: Error) => {
        setError(cause);
        setStep('idle');
      })
      .then(() => onAnswer?.());
  };
  return (
    <div class="actions">
      {step === 'idle' && (
        <button type="button" onClick={() => setStep('sure')}>
          {label}
        </button>
      )}
      {step === 'sure' && (
        <>
          <button type="button" class={isDanger ? 'danger' : 'strong'} onClick={ask}>
            {yes}
          </button>
          <button type="button" onClick={() => setStep('idle')}>
            {no}
          </button>
        </>
      )}
      {step === 'asked' && (
        <span class="quiet" role="status">
          {asked}
        </span>
      )}
      <ErrorNotice error={error} />
    </div>
  );
}
