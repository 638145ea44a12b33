import type { Reporter, TestModule } from 'vitest/node';

/**
 * Ends a run with one plain line, `N passed, N failed`, for people and machines that read only the end of a log. Tests
 * that passed on their second try are named before it: each is a fault, of the test or of the farm.
 */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const passed = tests.filter((test) => test.result().state === 'passed');
    const brokenFiles = modules.filter((module) => module.errors().length > 0).length;
    console.log();
    for (const test of passed.filter((test) => test.diagnostic()?.flaky)) {
      console.log(`Passed on its second try: ${test.module.relativeModuleId} > ${test.fullName}`);
    }
    console.log(`${passed.length} passed, ${tests.length - passed.length + brokenFiles + errors.length} failed`);
  }
}
