import type { BuildView } from '../builds.ts';
import { MAX_PAGE } from './parameters.ts';
import type { RequestOf } from './request.ts';

/**
 * A build with all of its modules, page after page; `read` asks the farm for one. What the first page says of the whole build
 * goes with its `lastEventId`: events from there on tell what the later ones may say already.
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
