import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';

interface TitleProps {
  /** Of the browser's tab. */
  readonly title: string;
  readonly children?: ComponentChildren;
}

/** The heading of a page, which names the tab too; what may be done on the page stands beside it. */
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
