import type { ComponentChildren, TargetedMouseEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';

const MOVED = 'slipway-moved';

/** Where the page is, from its address. */
export function usePlace(): URL {
  const [href, setHref] = useState(location.href);
  useEffect(() => {
    const read = () => setHref(location.href);
    for (const event of ['popstate', MOVED]) window.addEventListener(event, read);
    return () => {
      for (const event of ['popstate', MOVED]) window.removeEventListener(event, read);
    };
  }, []);
  return new URL(href);
}

/** Goes to a page of the console without loading it. */
export function goTo(href: string): void {
  history.pushState(null, '', href);
  window.dispatchEvent(new Event(MOVED));
}

/** Goes there inside the page, unless the person wants another tab or window. */
export function onLinkClick(event: TargetedMouseEvent<Element>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  goTo(event.currentTarget.getAttribute('href') ?? '/');
}

interface LinkProps {
  readonly href: string;
  readonly class?: string;
  readonly isCurrent?: boolean;
  readonly children: ComponentChildren;
}

/** A link to a page of the console. */
export function Link({ href, isCurrent = false, children, ...rest }: LinkProps) {
  return (
    <a href={href} onClick={onLinkClick} aria-current={isCurrent ? 'page' : undefined} {...rest}>
      {children}
    </a>
  );
}
