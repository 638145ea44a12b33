import Table from 'cli-table3';
import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run of cases with how many of each kind came out right; the kind is what is before the colon of a name. */
export class CountByKind implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const kinds = new Map<string, { cases: number; right: number }>();
    for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
      const { state } = test.result();
      if (state === 'skipped') continue;
      const [kind = ''] = test.name.split(':');
      const count = kinds.get(kind) ?? { cases: 0, right: 0 };
      count.cases += 1;
      if (state === 'passed') count.right += 1;
      kinds.set(kind, count);
    }
    const table = new Table({ head: ['kind', 'cases', 'right'], style: { head: [], border: [] } });
    for (const [kind, { cases, right }] of kinds) table.push([kind, cases, right]);
    console.log(`\n${table.toString()}`);
  }
}
