import './api/jitless.ts';

import { render } from 'preact';
import { type Identity, includesRole } from '../../common/contracts/tokens.ts';
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
      <Page place={place} identity={identity} />
    </PageFrame>
  );
}

/** `identity`: undefined while it is not known. */
function Page({ place, identity }: { readonly place: URL; readonly identity: Identity | undefined }) {
  const { pathname: path, searchParams: query } = place;
  const mayBuild = identity !== undefined && includesRole(identity.role, 'builder');
  const [, buildId] = /^\/builds\/([^/]+)$/.exec(path) ?? [];
  if (buildId !== undefined) return <BuildPage key={buildId} buildId={buildId} query={query} identity={identity} />;
  if (path === '/images') return <ImagesPage query={query} mayBuild={mayBuild} mayPrune={identity?.role === 'admin'} />;
  if (path === '/runs') return <RunsPage mayBuild={mayBuild} />;
  if (path === '/clusters') return <ClustersPage />;
  return <BuildsPage query={query} />;
}

const root = document.getElementById('console');
if (root) render(<Console />, root);
