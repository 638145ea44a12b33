import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes minutes, the longest first. */
const LONGEST = ['/test/e2e/debian', '/test/e2e/readme', '/test/e2e/'];

/** Begins with the long files, which would be alone at the end otherwise, with one core idle. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}

function rank({ project, moduleId }: TestSpecification): number {
  const place = LONGEST.findIndex((part) => moduleId.includes(part));
  return project.config.sequence.groupOrder * (LONGEST.length + 1) + (place < 0 ? LONGEST.length : place);
}
