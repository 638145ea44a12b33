import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Identity } from '../../../common/contracts/tokens.ts';
import { signOut } from '../api/client.ts';
import { Link } from './place.tsx';

const PAGES = [
  { href: '/', name: 'Builds' },
  { href: '/images', name: 'Images' },
  { href: '/runs', name: 'Clones' },
  { href: '/clusters', name: 'Clusters' },
];

interface ShellProps {
  readonly path: string;
  readonly identity: Identity | undefined;
  readonly children: ComponentChildren;
}

/** Frame of every page. */
export function PageFrame({ path, identity, children }: ShellProps) {
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) main.current?.focus();
    isFirst.current = false;
  }, [path]);
  return (
    <>
      <header class="top">
        <Link href="/" class="brand">
          Slipway
        </Link>
        <nav aria-label="Pages">
          {PAGES.map(({ href, name }) => (
            <Link key={href} href={href} isCurrent={path === href || (href === '/' && path.startsWith('/builds/'))}>
              {name}
            </Link>
          ))}
        </nav>
        <nav aria-label="Elsewhere in this farm" class="side">
          <a href="/queues">Queues</a>
          <a href="/api">API</a>
        </nav>
        {identity && <Account {...identity} />}
      </header>
      <main ref={main} tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

function Account({ name, role }: Identity) {
  const leave = () => signOut().finally(() => location.assign('/'));
  return (
    <div class="account">
      <span title={`The token "${name}" has the role ${role}.`}>
        {name} <span class="quiet">{role}</span>
      </span>
      <button type="button" class="plain" onClick={leave}>
        Sign out
      </button>
    </div>
  );
}
