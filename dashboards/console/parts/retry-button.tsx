import { useState } from 'preact/hooks';
import { call } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';
import { goTo } from './place.tsx';

/** Retries the modules that did not succeed, and opens that build. */
export function RetryButton({ buildId }: { readonly buildId: string }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<Error>();
  const ask = () => {
    setAsking(true);
    setError(undefined);
    call('retryBuild', { params: { id: buildId } })
      .then((accepted) => goTo(`/builds/${accepted.buildId}`), setError)
      .finally(() => setAsking(false));
  };
  return (
    <div class="actions">
      <button type="button" disabled={isAsking} onClick={ask}>
        Retry what did not succeed
      </button>
      <ErrorNotice error={error} />
    </div>
  );
}
