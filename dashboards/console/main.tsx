import './api/jitless.ts';

import { render } from 'preact';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { useResource } from './api/use-resource.ts';
import { BuildPage } from './pages/build-page.tsx';
import { BuildsPage } from './pages/builds-page.tsx';
import { ClustersPage } from './pages/clusters-page.tsx';
import { ImagesPage } from './pages/images-page.tsx';
import { RunsPage } from './pages/runs-page.tsx';
import { usePlace } from './parts/place.tsx';
import { PageFrame } from './parts/shell.tsx';

function Console() {
  const place = usePlace();
  const { value: identity } = useResource('readIdentity', {}, 0);
  const path = place.pathname;
  return (
    <PageFrame path={path} identity={identity}>
      <Page place={place} role={identity?.role} />
    </PageFrame>
  );
}

/** `role`: undefined while it is not known. */
function Page({ place, role }: { readonly place: URL; readonly role: TokenRole | undefined }) {
  const { pathname: path, searchParams: query } = place;
  const mayBuild = role !== undefined && role !== 'viewer';
  const [, buildId] = /^\/builds\/([^/]+)$/.exec(path) ?? [];
  if (buildId !== undefined) return <BuildPage key={buildId} buildId={buildId} query={query} mayBuild={mayBuild} />;
  if (path === '/images') return <ImagesPage query={query} mayBuild={mayBuild} mayPrune={role === 'admin'} />;
  if (path === '/runs') return <RunsPage mayBuild={mayBuild} />;
  if (path === '/clusters') return <ClustersPage />;
  return <BuildsPage query={query} />;
}

const root = document.getElementById('console');
if (root) render(<Console />, root);
