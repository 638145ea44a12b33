import type { BuildView } from '../builds.ts';
import { MAX_PAGE } from './parameters.ts';
import type { RequestOf } from './request.ts';

/**
 * A build with all of its modules, page after page; `read` requests one page. The fields of the whole build on the first page
 * belong to its `lastEventId`: events from there on may repeat changes that later pages already contain.
 */
export async function readWholeBuild(
  read: (query: NonNullable<RequestOf<'readBuild'>['query']>) => Promise<BuildView>,
): Promise<BuildView> {
  const first = await read({ limit: MAX_PAGE });
  const modules = [...first.modules];
  for (let cursor = first.nextCursor; cursor !== null; ) {
    const page = await read({ limit: MAX_PAGE, cursor });
    modules.push(...page.modules);
    cursor = page.nextCursor;
  }
  return { ...first, modules, nextCursor: null };
}
