import { ApiError } from '../api/client.ts';

/** An error with its remedy; empty without an error. */
export function ErrorNotice({ error }: { readonly error: Error | undefined }) {
  if (!error) return null;
  return (
    <div class="notice bad" role="alert">
      <strong>{error.message}</strong> {error instanceof ApiError && error.solve}
    </div>
  );
}

/** Stands where something is being read. */
export function Loading() {
  return (
    <p class="quiet" role="status">
      Loading…
    </p>
  );
}
