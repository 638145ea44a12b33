import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import type { Plan } from '../../common/contracts/plans.ts';

const MODULE = 'name: base\nvms: [{ name: main, source: { blank: true } }]\n';
const PLAN: Plan = { modules: [], criticalPath: [], totals: { modules: 0, jobs: 0 }, warnings: [] };
const ACCEPTED: FarmEvent = { event: 'build-accepted', buildId: 'B1', modules: ['base'] };
const TOKEN = 'a token';
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-build-'));
  await writeFile(join(directory, 'base.yaml'), MODULE);
});

afterAll(() => rm(directory, { recursive: true }));

function finished(outcome: 'succeeded' | 'failed' | 'cancelled'): FarmEvent {
  return { event: 'build-finished', buildId: 'B1', outcome, durationMs: 1, modules: [] };
}

/** What a farm is asked for. */
interface Asked {
  readonly body: string;
  readonly query: string;
  /** How many further requests for a stream a proxy answers. */
  readonly away: { times: number };
  /** `Last-Event-ID` of every stream that was opened. */
  readonly resumedAfter: string[];
}

/** Answers for a farm whose build has these streams of events, one after the other; each is cut at its end. */
async function withFarm<T>(
  streams: readonly FarmEvent[][],
  use: (url: string, asked: Asked) => Promise<T>,
): Promise<T> {
  const asked = { body: '', query: '', resumedAfter: [] as string[], away: { times: 0 } };
  let sent = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(401).end();
    if (request.method === 'POST') {
      asked.query = new URL(request.url ?? '/', 'http://farm').search;
      asked.body += await text(request);
      response.writeHead(202, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify({ buildId: 'B1', plan: PLAN }));
    }
    if (asked.resumedAfter.length > 0 && asked.away.times > 0) {
      asked.away.times -= 1;
      return void response.writeHead(502).end('Bad gateway');
    }
    asked.resumedAfter.push(String(request.headers['last-event-id']));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of streams[asked.resumedAfter.length - 1] ?? []) {
      sent += 1;
      response.write(`:\n\nid: ${sent}\ndata: ${JSON.stringify({ time: '2026-01-01T00:00:00.000Z', ...event })}\n\n`);
    }
    response.end();
  };
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** The CLI as its own process, which no farm of this machine reaches. */
function spawnCli(...args: string[]) {
  const [node, main] = programCommand('cli/main');
  return spawn(node, [main, ...args], {
    env: {
      PATH: process.env['PATH'],
      HOME: directory,
      SLIPWAY_TOKEN: TOKEN,
      SLIPWAY_VAR_A: 'no',
      SLIPWAY_VAR_Z: 'other',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function run(...args: string[]) {
  const child = spawnCli(...args);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

const start = (url: string, ...args: string[]) =>
  spawnCli('build', join(directory, 'base.yaml'), '--url', url, ...args);
const build = (url: string, ...args: string[]) => run('build', join(directory, 'base.yaml'), '--url', url, ...args);

test.each([
  ['succeeded', 0],
  ['failed', 2],
  ['cancelled', 3],
] as const)('a build that %s ends with %d', async (outcome, exitCode) => {
  await withFarm([[ACCEPTED, finished(outcome)]], async (url, { resumedAfter }) => {
    const { stdout, stderr, code } = await build(url);
    expect({ code, stderr }).toEqual({ code: exitCode, stderr: `In the web console: ${url}/builds/B1\n` });
    expect(stdout).toBe(`Build B1: base\nBuild B1 ${outcome} after 1 ms\n`);
    expect(resumedAfter).toEqual(['0']);
  });
});

test('a cut stream is taken up after the last event, and nothing is printed twice', async () => {
  await withFarm([[ACCEPTED], [], [finished('succeeded')]], async (url, asked) => {
    const { stdout, code } = await build(url, '--json', '--var', 'size=2Gi');
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event),
    ).toEqual(['build-accepted', 'build-finished']);
    expect(asked.resumedAfter).toEqual(['0', '1', '1']);
    expect(JSON.parse(asked.body)).toEqual({
      files: [{ path: join(directory, 'base.yaml'), text: MODULE }],
      variables: { size: '2Gi' },
    });
  });
});

test('--no-wait prints the id and follows nothing', async () => {
  await withFarm([], async (url, { resumedAfter }) => {
    const stderr = `In the web console: ${url}/builds/B1\n`;
    expect(await build(url, '--no-wait')).toEqual({ stdout: 'B1\n', stderr, code: 0 });
    expect(await build(url, '--no-wait', '--json')).toEqual({ stdout: '{"buildId":"B1"}\n', stderr: '', code: 0 });
    expect(resumedAfter).toEqual([]);
  });
});

test('a farm that cannot do its work ends the command with 1 and a sentence', async () => {
  const { stdout, stderr, code } = await build('http://127.0.0.1:1');
  expect({ stdout, code }).toEqual({ stdout: '', code: 1 });
  expect(stderr).toContain('error: The farm at http://127.0.0.1:1 does not answer: ');
  await withFarm([], async (url) => {
    expect(await build(url, '--token', 'wrong')).toMatchObject({ stdout: '', code: 1 });
  });
});

/** Answers for a farm that refuses modules for two problems. */
async function withRefusal<T>(use: (url: string) => Promise<T>): Promise<T> {
  const problem = { file: 'a.yaml', line: 1, column: 2, severity: 'error', code: 'InvalidValue' };
  const problems = ['one', 'two'].map((message) => ({ ...problem, message }));
  const body = {
    type: 'about:blank',
    title: '',
    status: 422,
    detail: 'one',
    code: 'InvalidModule',
    solve: '',
    problems,
  };
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(422).end(JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

test('every problem of the modules is printed, as `validate` does', async () => {
  await withRefusal(async (url) => {
    expect(await build(url)).toEqual({
      code: 1,
      stdout: 'a.yaml:1:2: error: one (InvalidValue)\na.yaml:1:2: error: two (InvalidValue)\n',
      stderr: '2 errors, 0 warnings\n',
    });
    expect(JSON.parse((await build(url, '--json')).stdout)).toMatchObject({ ok: false, problems: [{}, {}] });
  });
});

test('a farm that is away is waited for, for as long as is asked', async () => {
  await withFarm([[ACCEPTED], [finished('succeeded')]], async (url, { away }) => {
    away.times = 2;
    const { stdout, stderr, code } = await build(url);
    expect({ stdout, code }).toEqual({ stdout: 'Build B1: base\nBuild B1 succeeded after 1 ms\n', code: 0 });
    expect(stderr).toMatch(
      /^In the .*\nA proxy answered .* Trying again for 10 min 0 s.*\nThe farm answers again\.\n$/,
    );
  });
  await withFarm([[ACCEPTED]], async (url, { away }) => {
    away.times = 100;
    const { stderr, code } = await build(url, '--wait-for-farm', '1ms');
    expect(code).toBe(1);
    expect(stderr).toContain('error: A proxy answered instead of the farm');
  });
});

test('Ctrl-C only stops following, and prints how to attach again', async () => {
  await withFarm([[ACCEPTED], [], [], [], [], []], async (url) => {
    const child = start(url);
    const stderr = text(child.stderr);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    expect({ code, stderr: await stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/Detached: the build continues\. Attach again: slipway logs -f B1;/),
    });
  });
});

test('a success names the images, and options with lists leave the path alone', async () => {
  const images = [{ vm: 'main', disk: 'rootdisk', snapshot: 'base-snapshot', cluster: 'local' }];
  const module = { name: 'base', action: 'build', outcome: 'succeeded', durationMs: 1, images } as const;
  const end: FarmEvent = { ...finished('succeeded'), event: 'build-finished', modules: [module] } as FarmEvent;
  await withFarm([[ACCEPTED, end]], async (url, asked) => {
    const junit = join(directory, 'reports', 'junit.xml');
    const args = ['--rebuild', 'base,web', '--rebuild', 'db', join(directory, 'base.yaml'), '--junit', junit];
    const { stderr, code } = await run('build', ...args, '--url', url);
    expect(code).toBe(0);
    expect(asked.query).toBe('?rebuild=base%2Cweb%2Cdb');
    expect(stderr).toContain('1 image:\n  base/main rootdisk: base-snapshot\n');
    expect(await readFile(junit, 'utf8')).toContain('<testsuite name="base" tests="1" failures="0"');
  });
});

test('variables come from the environment, files and flags, the later ones winning', async () => {
  await writeFile(join(directory, 'base.yaml'), `variables: { A: {}, B: {}, C: {}, D: {} }\n${MODULE}`);
  await writeFile(join(directory, 'a.yaml'), 'A: yes\nB: 08\nC: file\nOTHER: 1\n');
  await writeFile(join(directory, 'b.env'), '# further\nC="from env file"\nD=file\n');
  const files = ['--var-file', join(directory, 'a.yaml'), '--var-file', join(directory, 'b.env')];
  await withFarm([], async (url, asked) => {
    const { code, stderr } = await build(url, '--no-wait', ...files, '--var', 'D=flag');
    expect(code).toBe(0);
    expect(JSON.parse(asked.body).variables).toEqual({ A: 'yes', B: '08', C: 'from env file', D: 'flag' });
    expect(stderr).toContain('a.yaml: no module declares the variable "OTHER"');
  });
  await writeFile(join(directory, 'a.yaml'), 'A: { nested: 1 }\n');
  expect((await build('http://127.0.0.1:1', ...files)).stderr).toMatch(
    /error: The variables in .*a\.yaml cannot be read/,
  );
  await writeFile(join(directory, 'base.yaml'), MODULE);
});
