import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../common/logging/logger.ts';
import { type ChildSpec, FarmChild, readReadyEvent } from './child-process.ts';
import { Supervisor } from './supervisor.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
/** Says that it is up, and stays until it is asked to end. */
const STAYS = `console.log(JSON.stringify({ event: 'ready', pid: process.pid })); setInterval(() => {}, 1e6);`;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-supervisor-'));
});

afterAll(() => rm(directory, { recursive: true }));

function specOf(name: string, script: string): ChildSpec {
  const command = [process.execPath, '-e', script] as const;
  const logFile = join(directory, `${name}.log`);
  return { name, command: [...command], environment: { ...process.env }, logFile, readReady: readReadyEvent };
}

test('starts a killed process again, and tells its new process id', async () => {
  let tellAgain = () => {};
  const again = new Promise<void>((resolve) => {
    tellAgain = resolve;
  });
  const supervisor = new Supervisor(logger, () => tellAgain());
  onTestFinished(() => supervisor.stop());
  const ready = await supervisor.start(specOf('scheduler', STAYS));
  const [first = 0] = supervisor.pids()['scheduler'] ?? [];
  expect(ready).toMatchObject({ event: 'ready', pid: first });
  process.kill(first, 'SIGKILL');
  await again;
  const [second = 0] = supervisor.pids()['scheduler'] ?? [];
  expect(second).not.toBe(first);
  expect(process.kill(second, 0)).toBe(true);
});

test('groups processes by role, and starts none again once it has stopped', async () => {
  let changes = 0;
  const supervisor = new Supervisor(logger, () => {
    changes += 1;
  });
  await Promise.all(['provision-1', 'provision-2', 'redis'].map((name) => supervisor.start(specOf(name, STAYS))));
  const pids = supervisor.pids();
  expect(Object.entries(pids).map(([role, ids]) => [role, ids.length])).toEqual([
    ['provision', 2],
    ['redis', 1],
  ]);
  await supervisor.stop();
  for (const pid of Object.values(pids).flat()) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(changes).toBe(0);
});

test('says what a process wrote before it ended too early, on both outputs, the last lines only', async () => {
  const script = `for (let line = 1; line <= 9; line += 1) console.log('line ' + line);
    console.error('cannot bind'); process.exitCode = 1;`;
  const child = new FarmChild(specOf('embedded', script));
  await expect(child.ready).rejects.toMatchObject({
    code: 'FarmUnreachable',
    message: expect.stringMatching(/^The process embedded ended before it was ready\. Its last lines:\n/),
  });
  const { message } = await child.ready.catch((error) => error);
  expect(message).toContain('cannot bind');
  expect(message).toContain('line 9');
  expect(message).not.toContain('line 1\n');
  await child.ended;
});

test('names a program that is not there', async () => {
  const spec: ChildSpec = { ...specOf('redis', ''), command: ['/nowhere/redis-server'] };
  const child = new FarmChild(spec);
  await expect(child.ready).rejects.toThrow(/\/nowhere\/redis-server/);
  await child.ended;
});

test('keeps everything that a process writes in its log, and ends it on request', async () => {
  const spec = specOf('import-1', `console.error('to the log'); ${STAYS}`);
  const child = new FarmChild(spec);
  await child.ready;
  await child.stop();
  await child.stop();
  const log = await readFile(spec.logFile, 'utf8');
  expect(log).toContain('"event":"ready"');
  expect(log).toContain('to the log');
});
