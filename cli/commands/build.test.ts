import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
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
  /** `Last-Event-ID` of every stream that was opened. */
  readonly resumedAfter: string[];
}

/** Answers for a farm whose build has these streams of events, one after the other; each is cut at its end. */
async function withFarm<T>(
  streams: readonly FarmEvent[][],
  use: (url: string, asked: Asked) => Promise<T>,
): Promise<T> {
  const asked = { body: '', resumedAfter: [] as string[] };
  let sent = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(401).end();
    if (request.method === 'POST') {
      asked.body += await text(request);
      response.writeHead(202, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify({ buildId: 'B1', plan: PLAN }));
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
async function build(url: string, ...args: string[]) {
  const [node, main] = programCommand('cli/main');
  const child = spawn(node, [main, 'build', join(directory, 'base.yaml'), '--url', url, ...args], {
    env: { PATH: process.env['PATH'], HOME: directory, SLIPWAY_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

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
