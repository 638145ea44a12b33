import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from '../harness/closing-line-reporter.ts';
import { RETRIES } from '../harness/second-try.ts';

/**
 * `npm run test:kubernetes`: one real API server for all files, which learn of it as conformance suites do. What needs
 * a server of its own starts one.
 */
export default defineConfig({
  test: {
    include: [
      'test/kubernetes/**/*.test.ts',
      'test/conformance/api/*.test.ts',
      'test/conformance/kube-ovn/kinds.test.ts',
      'workers/{cluster/cluster-objects,machines/build-vm}.test.ts',
      'scheduler/catalog/{catalog,reconcile-layers}.test.ts',
    ],
    reporters: ['default', new ClosingLineReporter()],
    globalSetup: ['test/harness/compiled.ts', 'test/kubernetes/shared-server.ts'],
    retry: RETRIES,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 1,
    isolate: false,
  },
});
