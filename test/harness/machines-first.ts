import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders of the files that boot machines or a browser: those that take longest first, then the one that mostly waits. */
const LONG = [
  '/test/e2e/',
  '/workers/console/',
  '/test/guest/',
  '/machines/',
  '/workers/phases/',
  '/workers/guest/',
  '/test/console/',
];

/** The long files first: the many quick ones then fill the end, where a long one would leave a core idle. */
export class MachinesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => groupOf(a) - groupOf(b) || rankOf(a) - rankOf(b));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONG.findIndex((folder) => moduleId.includes(folder));
  return rank < 0 ? LONG.length : rank;
}

/** Groups of projects run one after another. */
function groupOf({ project }: TestSpecification): number {
  return project.config.sequence.groupOrder;
}
