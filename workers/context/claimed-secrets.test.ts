import { expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { secretReference } from '../../common/contracts/module/secret-text.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { compiledModule } from '../../test/harness/module-factory.ts';
import { PhaseRunner } from '../runtime/phase-runner.ts';
import type { PhaseContext, PhaseExecutor } from './phase-context.ts';
import { PhaseFailure } from './phase-failure.ts';

const KEY = createFarmKey('a key of this test');
const JOB = {
  layerBuild: '01JD0000000000000000000000',
  generation: 1,
  vm: 'vm',
  phase: 'provision',
  dispatch: 1,
} as const;

/** Runs an executor with the secret `pw`, whose value is `hunter2`, and keeps what is reported to the farm. */
async function run(
  execute: PhaseExecutor['execute'],
  {
    sealed = KEY.seal('hunter2'),
    module = {},
  }: { sealed?: string; module?: Parameters<typeof compiledModule>[0] } = {},
) {
  const events: FarmEvent[] = [];
  const results: PhaseResult[] = [];
  const lines: string[] = [];
  const serial: string[] = [];
  const spec = { module: compiledModule(module) };
  const claim = { job: JOB, epoch: 1, spec, secrets: { pw: sealed } } as unknown as PhaseClaim;
  const store: PhaseStore = {
    claim: async () => claim,
    commit: async (_claim, result) => void results.push(result),
    watch: async (_claim, signal) => signal,
    assertCurrent: async () => {},
    emit: async (_claim, event) => void events.push(event),
    keepSerial: async (_claim, { lines: output }) => void serial.push(...output),
    serialPosition: async () => 0,
    saveScreenshot: async () => {},
    pause: async () => ({ state: 'waiting', elapsedMs: 0 }),
    lastPause: async () => null,
    useSource: async () => null,
    onPauseChange: () => () => {},
  };
  const runner = new PhaseRunner({
    executor: { phase: 'provision', execute },
    ...{ store, worker: 'here', clock: systemClock },
    logger: createLogger({ name: 'test', level: 'debug', destination: { write: (line) => lines.push(line) } }),
    contextOf: () => ({ farmKey: KEY }) as ReturnType<ConstructorParameters<typeof PhaseRunner>[0]['contextOf']>,
  });
  await runner.deliver(JOB, new AbortController().signal);
  return { events, serial, result: results[0], log: lines.join('') };
}

const line = { event: 'log', module: 'm', vm: 'vm', phase: 'provision', source: 'step', line: 'a hunter2' } as const;

test('an executor gets the values, and everything that it reports to the farm is without them', async () => {
  const filled: string[] = [];
  const seen = await run(async ({ secrets, store, claim, logger }: PhaseContext) => {
    filled.push(secrets.fill(`x ${secretReference('pw')}`), secrets.secretValue('pw'));
    await store.emit(claim, line);
    await store.keepSerial(claim, { vmiUid: 'u', lines: ['on the line: hunter2'], readBytes: 20 });
    logger.info({ output: 'hunter2' }, 'Something was printed');
    const failure = { reason: 'StepFailed', message: 'it ended with hunter2', screenshot: false } as const;
    const [logTail, serialTail, hints, events] = [['hunter2'], ['hunter2'], ['hunter2'], ['Warning: hunter2']];
    const evidence = { logTail, serialTail, hints, events };
    return { outcome: 'failed', failure: { ...failure, ...evidence } };
  });
  expect(filled).toEqual(['x hunter2', 'hunter2']);
  expect(seen.events).toEqual([{ ...line, line: 'a ***' }]);
  expect(seen.serial).toEqual(['on the line: ***']);
  expect(seen.result).toMatchObject({
    failure: {
      message: 'it ended with ***',
      logTail: ['***'],
      serialTail: ['***'],
      hints: ['***'],
      events: ['Warning: ***'],
    },
  });
  expect(seen.log).toContain('Something was printed');
  expect(seen.log).not.toContain('hunter2');
});

test('the passwords of URLs are for requests only, however they are printed', async () => {
  const password = KEY.seal(`a ${secretReference('pw')}`);
  const credentials = { username: 'ci', password };
  const source = { kind: 'url', url: 'http://h/x', credentials, checksum: null } as const;
  const given: unknown[] = [];
  const seen = await run(
    async ({ secrets, store, claim }: PhaseContext) => {
      given.push(secrets.credentials(credentials), secrets.credentials(null));
      const header = Buffer.from('ci:a hunter2').toString('base64');
      await store.emit(claim, { ...line, line: `Basic ${header} a%20hunter2 "a hunter2"` });
      return { outcome: 'succeeded' };
    },
    { module: { vms: [{ source }] } },
  );
  expect(given).toEqual([{ username: 'ci', password: 'a hunter2' }, undefined]);
  expect(seen.events).toEqual([{ ...line, line: 'Basic *** *** "***"' }]);
});

test('what it throws is without them too', async () => {
  for (const error of [new PhaseFailure('StepFailed', 'not hunter2'), new Error('not hunter2')]) {
    const seen = await run(async () => {
      throw error;
    });
    expect(seen.result).toMatchObject({ outcome: 'failed', failure: { message: 'not ***' } });
    expect(seen.log).toContain('The phase failed');
    expect(seen.log).not.toContain('hunter2');
  }
});

test('a name that was not kept, and a value of another farm, are failures and not texts for a guest', async () => {
  const unknown = await run(async ({ secrets }) => {
    secrets.fill(secretReference('other'));
    return { outcome: 'succeeded' };
  });
  expect(unknown.result).toMatchObject({ outcome: 'failed', failure: { message: expect.stringContaining('"other"') } });
  const foreign = await run(async () => ({ outcome: 'succeeded' }), {
    sealed: createFarmKey('another key').seal('hunter2'),
  });
  expect(foreign.result).toMatchObject({
    outcome: 'failed',
    failure: { message: expect.stringContaining('farm key') },
  });
});
