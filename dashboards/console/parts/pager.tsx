import { Link } from './place.tsx';

interface PagerProps {
  /** Path of the list. */
  readonly path: string;
  readonly isFirst: boolean;
  readonly nextCursor: string | null;
  /** Search, kept from page to page. */
  readonly search?: URLSearchParams;
}

/** Leads through the pages of a list; going back is the browser's. */
export function Pager({ path, isFirst, nextCursor, search = new URLSearchParams() }: PagerProps) {
  if (isFirst && nextCursor === null) return null;
  return (
    <nav class="pager" aria-label="Pages of the list">
      {!isFirst && <Link href={withSearch(path, search)}>Newest</Link>}
      {nextCursor !== null && (
        <Link href={withSearch(path, new URLSearchParams([...search, ['cursor', nextCursor]]))}>Older</Link>
      )}
    </nav>
  );
}

/** Request for a page of a list. */
export function pageQuery(query: URLSearchParams): { readonly limit: number; readonly cursor: string | undefined } {
  return { limit: 50, cursor: query.get('cursor') ?? undefined };
}

function withSearch(path: string, search: URLSearchParams): string {
  return search.size === 0 ? path : `${path}?${search}`;
}
