import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from '../harness/closing-line-reporter.ts';
import { RETRIES } from '../harness/second-try.ts';
import { CountByKind } from './count-by-kind.ts';

/** `npm run test:cases`. One file after another; the built cases are submitted together, and the farm's caps order them. */
export default defineConfig({
  test: {
    include: ['test/cases/*.test.ts'],
    reporters: ['default', new CountByKind(), new ClosingLineReporter()],
    globalSetup: ['test/harness/compiled.ts'],
    retry: RETRIES,
    testTimeout: 30_000,
    maxWorkers: 1,
    maxConcurrency: 6,
  },
});
