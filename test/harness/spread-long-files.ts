import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files whose machines keep the processors busy for a minute and more. */
const LONG = ['/test/e2e/', '/test/guest/', '/workers/phases/provision/'];

/**
 * Spreads the files that work hard among those that wait more than they work, from the first file on. Side by side they
 * would slow each other down, and the last ones would be alone at the end, with one core idle.
 */
export class SpreadLongFiles extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const long = sorted.filter(isLong);
    const short = sorted.filter((file) => !isLong(file));
    const share = Math.ceil(short.length / Math.max(1, long.length));
    const spread = long.flatMap((file, index) => [file, ...short.slice(index * share, (index + 1) * share)]);
    return [...spread, ...short.slice(long.length * share)].sort((a, b) => groupOf(a) - groupOf(b));
  }
}

function isLong({ moduleId }: TestSpecification): boolean {
  return LONG.some((folder) => moduleId.includes(folder));
}

/** Groups of projects run one after another. */
function groupOf({ project }: TestSpecification): number {
  return project.config.sequence.groupOrder;
}
