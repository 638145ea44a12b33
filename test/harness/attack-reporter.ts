import { basename } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

const ATTACKS = '/test/attacks/';

/** Ends a run with one line for each attack of `test/attacks`: what was tried, and what it got. */
export class AttackReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.filter(({ moduleId }) => moduleId.includes(ATTACKS)).flatMap(linesOf);
    if (lines.length > 0) console.log(`\nAttacks, and what they got:\n${lines.join('\n')}`);
  }
}

function linesOf(module: TestModule): string[] {
  const kind = basename(module.moduleId, '.test.ts');
  return [...module.children.allTests()].map((test) => {
    const [note] = test.annotations().map(({ message }) => message);
    const got = { passed: note ?? 'nothing', failed: 'THROUGH', skipped: 'not tried', pending: 'not tried' };
    return `  ${kind}: ${test.fullName} -> ${got[test.result().state]}`;
  });
}
