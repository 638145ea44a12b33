import type { Reporter, TestCase, TestModule } from 'vitest/node';

/**
 * Ends a run with one plain line, `N passed, N failed`, for people and machines that read only the end of a log. Before it
 * stand the tests that passed on their second try (each is a fault, of the test or of the farm), and all that failed.
 */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const passed = tests.filter((test) => test.result().state === 'passed');
    const failed = tests.filter((test) => test.result().state === 'failed');
    const brokenFiles = modules.filter((module) => module.errors().length > 0);
    console.log();
    for (const test of passed.filter((test) => test.diagnostic()?.flaky)) {
      console.log(`Passed on its second try: ${placeOf(test)}`);
    }
    for (const test of failed) console.log(`Failed: ${placeOf(test)}: ${firstLine(test.result().errors)}`);
    for (const module of brokenFiles) console.log(`Failed: ${module.relativeModuleId}: ${firstLine(module.errors())}`);
    console.log(`${passed.length} passed, ${tests.length - passed.length + brokenFiles.length + errors.length} failed`);
  }
}

const placeOf = (test: TestCase) => `${test.module.relativeModuleId} > ${test.fullName}`;

/** Of the first error: with a second try there is one for each. */
function firstLine(errors: readonly { readonly message: string }[] | undefined): string {
  return errors?.[0]?.message.split('\n')[0] ?? '';
}
