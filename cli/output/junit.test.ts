import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { expect, test } from 'vitest';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { type Failure, failureSchema } from '../../common/contracts/failures.ts';
import { JunitReport } from './junit.ts';

const failure = (reason: Failure['reason'], message: string) => failureSchema.parse({ reason, message });
const LOST = failure('StepFailed', 'Step 2 ended with exit code 1 & printed "<no>".');
const where = { module: 'base', vm: 'main' };
const step = { ...where, type: 'shell', durationMs: 250 };

const EVENTS: readonly FarmEvent[] = [
  { event: 'phase-finished', ...where, phase: 'import', outcome: 'requeue', durationMs: 5 },
  { event: 'phase-finished', ...where, phase: 'import', outcome: 'succeeded', durationMs: 1_500 },
  {
    event: 'log',
    ...where,
    phase: 'provision',
    source: 'step',
    line: '\u001b[31mred\u001b[0m \ud800 ]]> </system-out>',
  },
  { event: 'step-finished', ...step, step: 0, name: null, outcome: 'succeeded', exitCode: 0 },
  { event: 'step-finished', ...step, step: 1, name: 'a "b" <c>', outcome: 'failed', exitCode: 1 },
  { event: 'phase-finished', ...where, phase: 'provision', outcome: 'failed', durationMs: 9, failure: LOST },
  { event: 'phase-finished', ...where, vm: 'other', phase: 'provision', outcome: 'cancelled', durationMs: 8 },
];
const END: Extract<FarmEvent, { event: 'build-finished' }> = {
  event: 'build-finished',
  buildId: 'B1',
  outcome: 'failed',
  durationMs: 61_000,
  modules: [
    { name: 'base', action: 'build', outcome: 'failed', durationMs: 60_000, images: [], failure: LOST },
    {
      ...{ name: 'child', action: 'build', outcome: 'failed', durationMs: 0, images: [] },
      failure: failure('ParentFailed', 'The module "base", which it starts from, failed.'),
    },
    { name: 'other', action: 'build', outcome: 'cancelled', durationMs: 7, images: [] },
    { name: 'old', action: 'reuse', outcome: 'succeeded', durationMs: 0, images: [] },
  ],
};

test('failures, what was skipped or cancelled, and untrusted text are where readers of JUnit look for them', () => {
  const report = new JunitReport();
  for (const event of EVENTS) report.add({ ...event, id: '1', time: '2026-01-01T00:00:00.000Z' });
  const xml = report.render({ ...END, id: '9', time: '2026-01-01T00:01:00.000Z' });
  expect(XMLValidator.validate(xml)).toBe(true);
  const parsed = new XMLParser({
    ...{ ignoreAttributes: false, attributeNamePrefix: '', textNodeName: 'text' },
    isArray: (name) => ['testsuite', 'testcase'].includes(name),
  }).parse(xml);
  const { testsuite: suites, ...totals } = parsed.testsuites;
  const numbers = { tests: '9', failures: '3', errors: '0', skipped: '3', time: '61.000' };
  expect(totals).toEqual({ name: 'slipway build B1', ...numbers });
  expect(
    suites.map(({ name, tests, failures, skipped }: Record<string, string>) => [name, tests, failures, skipped]),
  ).toEqual([
    ['base', '6', '3', '1'],
    ['child', '1', '0', '1'],
    ['other', '1', '0', '1'],
    ['old', '1', '0', '0'],
  ]);
  const [base, child, other] = suites;
  expect(base.testcase).toMatchObject([
    { classname: 'base', name: 'base (build)', time: '60.000', failure: { message: LOST.message } },
    { classname: 'base.main', name: 'import', time: '1.500' },
    { classname: 'base.main', name: 'step 1: shell' },
    { classname: 'base.main', name: 'step 2: a "b" <c>', failure: { message: 'exit code 1' } },
    { classname: 'base.main', name: 'provision', failure: { message: LOST.message } },
    { classname: 'base.other', name: 'provision', skipped: { message: 'cancelled' } },
  ]);
  expect(child.testcase[0].skipped.message).toContain('"base"');
  expect(other.testcase[0].skipped.message).toBe('cancelled');
  expect(base['system-out']).toContain(']]> </system-out>');
});
