import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../common/logging/logger.ts';
import { type ChildSpec, FarmChild, readReadyEvent } from './child-process.ts';
import { Supervisor } from './supervisor.ts';

const logger = createLogger({ name: 'test', level: 'silent' });
/** Reports that it is up, and stays until it is asked to end. */
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

test('starts a killed process again, and reports its new process id', async () => {
  let endAgain = () => {};
  const again = new Promise<void>((resolve) => {
    endAgain = resolve;
  });
  const supervisor = new Supervisor(logger, () => endAgain());
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

test('reports how a process ended too early, its log, and its last output on both streams', async () => {
  const script = `for (let line = 1; line <= 9; line += 1) console.log('line ' + line);
    console.error('cannot bind'); process.exitCode = 7;`;
  const spec = specOf('embedded', script);
  const child = new FarmChild(spec);
  const { code, message } = await child.ready.catch((error) => error);
  expect(code).toBe('FarmNotStarted');
  expect(message).toMatch(/^The process embedded exited with 7 before it was ready\. Its last output:\n/);
  expect(message).toContain('  cannot bind\n');
  expect(message).toContain('  line 9\n');
  expect(message).not.toContain('line 1\n');
  expect(message).toMatch(new RegExp(`Its log is ${spec.logFile}$`));
  await child.ended;
});

test('names the signal that ended a process, and makes sentences of the JSON lines of its log', async () => {
  const error = { message: 'listen EADDRINUSE: address already in use', code: 'EADDRINUSE' };
  const line = JSON.stringify({ level: 60, msg: 'The process ends with an error', err: error });
  const child = new FarmChild(specOf('scheduler', `console.log('${line}', ''); process.kill(process.pid, 'SIGKILL')`));
  await expect(child.ready).rejects.toMatchObject({
    message: expect.stringMatching(
      /scheduler was ended by SIGKILL before it was ready\. Its last output:\n {2}The process ends with an error: listen EADDR.*\n/,
    ),
    details: { code: 'EADDRINUSE' },
  });
});

test('names a program that is not there', async () => {
  const spec: ChildSpec = { ...specOf('redis', ''), command: ['/nowhere/redis-server'] };
  const child = new FarmChild(spec);
  await expect(child.ready).rejects.toThrow(
    /redis exited with 127 [\s\S]*\/nowhere\/redis-server: No such file or directory/,
  );
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
