import { useState } from 'preact/hooks';
import type { OperationId } from '../../../common/contracts/api/operations.ts';
import type { RequestOf } from '../../../common/contracts/api/request.ts';
import { call } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';

interface ConfirmProps<Id extends OperationId> {
  /** What the API is asked for. */
  readonly operation: Id;
  readonly request: RequestOf<Id>;
  readonly label: string;
  /** The two answers to the question whether one is sure. */
  readonly yes: string;
  readonly no: string;
  /** What is said once the farm has agreed. */
  readonly asked: string;
  readonly isDanger?: boolean;
  /** Called when the farm has answered, also with an error. */
  onAnswer?(): void;
}

/** Asks the farm for something after a second press, so that a slip costs nothing. A refusal is shown. */
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
