import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import type { FarmEvent } from '../../common/contracts/events.ts';
import type { Failure } from '../../common/contracts/failures.ts';
import { describeEvent } from './build-lines.ts';
import { lineOutput } from './build-progress.ts';

const described = (event: FarmEvent) => describeEvent({ ...event, id: '1-0', time: '2026-01-01T00:00:00Z' }, 'B');
const failure = (reason: Failure['reason'], change: Partial<Failure> = {}): Failure => ({
  ...{ reason, message: 'no', logTail: [], serialTail: [], hints: [], events: [], screenshot: false },
  ...change,
});
const FINISHED = { event: 'module-finished', module: 'child', action: 'build', durationMs: 1_000, images: [] } as const;

test('prints the wait of a phase, its progress and its end', () => {
  const about = { event: 'phase-waiting', module: 'base', vm: 'vm', phase: 'boot-keystrokes' } as const;
  const wait = { ...about, what: 'SSH 10.0.2.2:22', elapsedMs: 12_000, leftMs: 288_000 };
  expect(described({ ...wait, error: 'no route to host\u001b[31m', tries: 34 })).toBe(
    'base/vm: SSH 10.0.2.2:22: no route to host, 34 tries in 12.0 s, given up in 4 min 48 s',
  );
  expect(described({ ...wait, error: null, tries: 1 })).toBe('base/vm: SSH 10.0.2.2:22: answered, 1 try in 12.0 s');
});

test('gives the advice of the case, else that of the reason, and the end of the serial port', () => {
  const serialTail = Array.from({ length: 30 }, (_, index) => `line ${index}`);
  const finished = (why: Failure) => described({ ...FINISHED, images: [], outcome: 'failed', failure: why });
  const text = finished(failure('GuestNeverAnswered', { hints: ['Set `model: virtio`.'], serialTail }));
  expect(text).toContain('  -> Set `model: virtio`.\n');
  expect(text).not.toContain('Look at the screenshot');
  expect(text).toContain('  | line 29');
  expect(text).not.toContain('  | line 9\n');
  const general = finished(failure('GuestNeverAnswered'));
  expect(general).toContain('  -> Look at the screenshot.');
  expect(general).not.toContain('serial port');
});

test('calls a module skipped that failed with its parent', () => {
  const message = 'It starts from "base", which failed.';
  const why = failure('ParentFailed', { message });
  expect(described({ ...FINISHED, images: [], outcome: 'failed', failure: why })).toBe(`child: skipped. ${message}`);
});

test('begins each line with its time where that is asked for, those of one event, too', () => {
  const stdout = new PassThrough();
  const output = lineOutput(stdout, 'B', { timestamps: true });
  const why = failure('StepFailed', { message: 'Step 1 failed', logTail: ['its last line'] });
  const time = '2026-01-01T00:00:00Z';
  output.show({ ...FINISHED, images: [], outcome: 'failed', failure: why, id: '1-0', time });
  const lines = String(stdout.read()).trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.filter((line) => !line.startsWith(`${time} `))).toEqual([]);
});
