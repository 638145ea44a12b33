import { defineConfig } from 'vitest/config';
import { AttackReporter } from '../harness/attack-reporter.ts';
import { ClosingLineReporter } from '../harness/closing-line-reporter.ts';
import { RETRIES } from '../harness/second-try.ts';

/** `npm run test:attacks`: all of them, also those that boot machines. */
export default defineConfig({
  test: {
    include: ['test/attacks/*.test.ts'],
    reporters: ['default', new AttackReporter(), new ClosingLineReporter()],
    globalSetup: ['test/harness/compiled.ts'],
    retry: RETRIES,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    isolate: false,
    expect: { poll: { timeout: 15_000 } },
  },
});
