import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

interface TitleProps {
  /** Of the browser's tab. */
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** The heading of a page, which also names the tab; the actions of the page are beside it. */
export function PageTitle({ title, children }: TitleProps) {
  useEffect(() => {
    document.title = `${title} · Slipway`;
  }, [title]);
  return (
    <div class="page-title">
      <h1>{title}</h1>
      {children}
    </div>
  );
}
