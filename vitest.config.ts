import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './test/harness/closing-line-reporter.ts';

export default defineConfig({
  test: {
    include: ['{common,scheduler,workers,embedded,cli,dashboards,test}/**/*.test.ts'],
    reporters: ['default', new ClosingLineReporter()],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
