import { configDefaults, defineConfig } from 'vitest/config';
import { AttackReporter } from './test/harness/attack-reporter.ts';
import { ClosingLineReporter } from './test/harness/closing-line-reporter.ts';
import { MachinesFirst } from './test/harness/machines-first.ts';
import { RETRIES } from './test/harness/second-try.ts';

/** Judges what all other tests made clusters record, so it runs after them. */
const LAST = 'test/rights/**/*.test.ts';
/** Boot some forty machines; `npm run test:cases` runs them. */
const CASES = ['built', 'cloud-init', 'debian', 'full-disk', 'life', 'readme', 'secure'].map(
  (name) => `test/cases/${name}.test.ts`,
);
/** Boot machines; `npm run test:attacks` runs them, too. */
const ATTACKING_MACHINES = ['guest', 'machine'].map((name) => `test/attacks/${name}.test.ts`);
/** Needs the programs of Kubernetes; `npm run test:kubernetes` runs them. */
const KUBERNETES = 'test/kubernetes/**';

/** Projects do not hear of the flags --testTimeout and --hookTimeout; `npm run test:cluster` asks for more by this. */
const patience = Number(process.env['SLIPWAY_CONFORMANCE_PATIENCE_MS'] ?? 0);

export default defineConfig({
  test: {
    reporters: ['default', new AttackReporter(), new ClosingLineReporter()],
    globalSetup: ['test/harness/compiled.ts', 'test/harness/recordings.ts'],
    retry: RETRIES,
    testTimeout: Math.max(30_000, patience),
    hookTimeout: Math.max(60_000, patience),
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 2,
    // Files of one worker share what they import, which takes long to load.
    isolate: false,
    sequence: { sequencer: MachinesFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'farm',
          include: ['{common,scheduler,workers,embedded,cli,dashboards,test}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, LAST, KUBERNETES, ...CASES, ...ATTACKING_MACHINES],
        },
      },
      { extends: true, test: { name: 'rights', include: [LAST], sequence: { groupOrder: 1 } } },
    ],
  },
});
