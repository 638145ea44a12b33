import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import type { BuildSummary, BuildView } from '../../common/contracts/builds.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import { FAILURES, type Failure } from '../../common/contracts/failures.ts';
import type { Wait } from '../../common/contracts/waiting.ts';

const START = Date.parse('2026-01-01T12:00:00Z');
const MODULES = Array.from({ length: 12 }, (_, index) => ({ name: `module-${index}`, state: 'failed' as const }));

function summary(end: string, rest: Partial<BuildSummary>): BuildSummary {
  const buildId = `01KV00000000000000${end}`;
  const modules = [{ name: 'base', state: 'succeeded' as const }];
  const times = { createdAt: START, finishedAt: START + 250_000 };
  return { buildId, state: 'succeeded', submittedBy: 'ci', run: null, modules, ...times, ...rest };
}

const BUILDS = [
  summary('AAAAAAA1', { state: 'failed', modules: [{ name: 'base', state: 'succeeded' }, ...MODULES] }),
  summary('AAAAAAA2', { submittedBy: 'ann' }),
  summary('AAAAAAA3', { modules: [{ name: 'web', state: 'succeeded' }] }),
];
const where = { module: 'base', phase: 'provision', source: 'step' } as const;
const EVENTS: readonly (readonly [time: string, event: FarmEvent])[] = [
  ['2026-01-01T12:00:00.000Z', { event: 'build-accepted', buildId: 'B', modules: ['base'] }],
  ['2026-01-01T12:00:01.000Z', { event: 'log', ...where, vm: 'a', line: ' 10%\r 50%\r100%\r' }],
  ['2026-01-01T12:00:02.000Z', { event: 'log', ...where, vm: 'b', line: 'hello' }],
];
const CLUSTER = {
  ...{ name: 'local', healthy: false, message: 'it is away', findings: [], queues: [], workers: [] },
  ...{ mode: 'cordoned', changed: { by: 'ann', at: START }, labels: {} },
  limits: { imports: 4, vms: 4, cpu: 8, memoryBytes: 2 ** 33 },
  configured: { imports: 4, vms: 4, cpu: 8, memoryBytes: 2 ** 33 },
  inUse: { imports: 0, vms: 1, cpu: 2, memoryBytes: 2 ** 32 },
  storage: { freeBytes: 3 * 2 ** 29, leastBytes: 2 ** 31 },
  holders: [{ layerBuild: 'L', module: 'base', vms: 1 }],
};

const WAITS: readonly Wait[] = [
  {
    ...{ module: 'web', vm: null, kind: 'machines', why: 'room for 2 machines: 4 machines of 4 machines are in use' },
    ...{ since: START, position: 2, of: 7, expectedAt: Date.now() + 3_600_000 },
  },
];

const FAILURE: Failure = {
  ...{ reason: 'StepFailed', message: 'Step 1 exited with 1.', logTail: ['its last line'], serialTail: [] },
  ...{ hints: [], events: [], screenshot: false },
};
/** Its machine failed, and so its module did. */
const FAILED: BuildView = {
  ...{ buildId: '01KV00000000000000AAAAAAA1', state: 'failed', createdAt: START, finishedAt: START + 250_000 },
  ...{ submittedBy: 'ci', run: null, nextCursor: null, criticalPath: [], lastEventId: '0' },
  counts: { all: 1, open: 0, succeeded: 0, failed: 1, cancelled: 0 },
  modules: [
    {
      ...{ name: 'base', layerKey: 'k', action: 'build', why: 'new', state: 'failed', layerBuild: 'L', generation: 1 },
      ...{ cluster: 'local', dependsOn: [], images: [], failure: FAILURE },
      vms: [
        {
          ...{ vm: 'vm', steps: [], handbuild: null, failure: FAILURE, screenshot: null },
          phases: [
            {
              phase: 'provision',
              state: 'failed',
              attempts: 1,
              startedAt: START,
              finishedAt: START + 1_000,
              ...{ worker: null, waiting: null },
            },
          ],
        },
      ],
    },
  ],
};

let server: Server;
let url: string;

/** A farm with these builds and nothing else. */
beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://farm');
    const path = pathname.replace(/^\/api\/v1/, '');
    const [states, by] = [query.get('state')?.split(','), query.get('by')];
    const builds = BUILDS.filter(
      ({ state, submittedBy }) => (states?.includes(state) ?? true) && (by === null || submittedBy === by),
    );
    const answers: Record<string, unknown> = {
      '/builds': { builds, nextCursor: null },
      '/clusters': { clusters: [CLUSTER] },
      '/runs': { runs: [] },
      [`/builds/${BUILDS[2]?.buildId}/waiting`]: { waits: WAITS },
      [`/builds/${FAILED.buildId}`]: FAILED,
      '/whoami': { name: 'ann', role: 'builder' },
    };
    if (path === `/builds/${BUILDS[1]?.buildId}/events`) {
      const stream = EVENTS.map(
        ([time, event], id) => `id: ${id + 1}\ndata: ${JSON.stringify({ time, ...event })}\n\n`,
      );
      return void response.end(stream.join(''));
    }
    if (path === '/proxy') return void response.end('<html>');
    response.writeHead(path in answers ? 200 : 404).end(JSON.stringify(answers[path] ?? {}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => server.close());

async function slipway(...args: string[]) {
  const [node, main] = programCommand('cli/main');
  const env = { PATH: process.env['PATH'], HOME: '/nowhere', SLIPWAY_URL: url, SLIPWAY_TOKEN: 'token' };
  const child = spawn(node, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

test('`ps` fits 80 columns, and shows the submitter of a build', async () => {
  const { stdout, code } = await slipway('ps');
  expect(code).toBe(0);
  const lines = stdout.split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines[0]).toMatch(/^BUILD +STATE +BY +CREATED +TOOK +MODULES$/);
  expect(lines[1]).toMatch(/^AAAAAAA1 {2}failed {5}ci {3}.* d ago +4 min 10 s {2}base succeeded, module-0.*…$/);
  expect(stdout).toContain(
    'local: it is away\nlocal: its storage is full: 1.5 GiB free, a build needs 2 GiB (512 MiB more)\n',
  );
});

test('`ps BUILD` prints the failure of a module and its machine once, with its remedy', async () => {
  const { stdout, code } = await slipway('ps', 'AAA1');
  expect(code).toBe(0);
  expect(stdout.split('\n').filter((line) => line.includes(FAILURE.message))).toEqual([
    `  StepFailed: ${FAILURE.message}`,
  ]);
  expect(stdout).toContain(`  -> ${FAILURES.StepFailed.solve}\n  | its last line\n`);
});

test('`ps --why` shows the wait of a module, its place and the expected time', async () => {
  const { stdout, code } = await slipway('ps', 'AAA3', '--why');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^BUILD +MODULE +WAITS FOR +SINCE +PLACE +EXPECTED\n.*AAAAAAA3 +web +room for .* +2 of 7 +in (59 min|1 h 0 min)/,
  );
  expect(JSON.parse((await slipway('ps', '--why', '--json')).stdout)).toEqual({ builds: [] });
});

test.each([
  [['--state', 'failed'], ['AAAAAAA1']],
  [['--module', 'web,db'], ['AAAAAAA3']],
  [['--by', 'ci', '--limit', '1'], ['AAAAAAA1']],
  [['--mine'], ['AAAAAAA2']],
])('`ps %j` shows only these builds', async (flags, ends) => {
  const { builds } = JSON.parse((await slipway('ps', '--json', ...flags)).stdout);
  expect(builds.map((build: BuildSummary) => build.buildId.slice(-8))).toEqual(ends);
});

test.each([
  [
    'takes a short id, and shows progress bars as a terminal does',
    ['aaaaaaa2'],
    'Build B: base\nbase/a | 100%\nbase/b | hello\n',
  ],
  ['chooses machines, with times', ['AAA2', '--vm', 'base/b', '-t'], '2026-01-01T12:00:02.000Z base/b | hello\n'],
  ['begins at a time', ['AAA2', '--since', '2026-01-01T12:00:02Z'], 'base/b | hello\n'],
  ['begins so long ago', ['AAA2', '--since', '10m'], ''],
])('`logs` %s', async (_what, args, stdout) => {
  expect(await slipway('logs', ...args)).toMatchObject({ stdout, code: 0 });
});

test('`logs` names the builds that a short id may mean', async () => {
  expect(await slipway('logs', '01KV')).toMatchObject({ code: 1, stderr: expect.stringContaining('Several builds') });
});

test('`doctor` distinguishes another server from an absent farm', async () => {
  expect((await slipway('doctor', '--url', `${url}/proxy`)).stdout).toMatch(
    /^farm +missing +.* is not a Slipway farm/m,
  );
  expect((await slipway('doctor', '--url', 'http://127.0.0.1:1')).stdout).toMatch(
    /^farm +missing +The farm at .* does not answer/m,
  );
});
