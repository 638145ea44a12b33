import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import { type Plan, planSchema } from '../../common/contracts/plans.ts';
import { problemSchema } from '../../common/contracts/problems.ts';

const TWO_LAYERS = `
name: base
vms:
  - name: main
    source: { url: "https://images.example.org/a.qcow2" }
    cloudInit: {}
---
name: web
vms:
  - name: front
    source: { buildRef: { name: base } }
    communicator: { sshPassword: "\${var.password}" }
variables: { password: secret }
`;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-plan-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function moduleFile(name: string, body: string): Promise<string> {
  const file = join(directory, name);
  await writeFile(file, body);
  return file;
}

/** The CLI as its own process, which no farm of this machine or its environment reaches. */
async function slipway(...args: string[]) {
  const [node, main] = programCommand('cli/main');
  const child = spawn(node, [main, ...args], {
    env: { PATH: process.env['PATH'], HOME: directory, XDG_STATE_HOME: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

test('without a farm it plans offline and reports provisional keys, and that no farm answered', async () => {
  const file = await moduleFile('layers.yaml', TWO_LAYERS);
  const { stdout, stderr, code } = await slipway('plan', file, '--json', '--var', 'password=other');
  const plan = planSchema.parse(JSON.parse(stdout));
  const jobs = (module: string, vm: string) =>
    ['import', 'boot-keystrokes', 'provision', 'snapshot'].map((phase) => `${module}.${vm}.${phase}`);
  expect(plan.modules.map(({ name, action, dependsOn }) => [name, action, dependsOn])).toEqual([
    ['base', 'build', []],
    ['web', 'build', ['base']],
  ]);
  expect(plan.criticalPath).toEqual([...jobs('base', 'main'), ...jobs('web', 'front')]);
  expect(plan.totals).toEqual({ modules: 2, jobs: 8 });
  expect(plan.warnings).toEqual([
    'Module "base": the identity of https://images.example.org/a.qcow2 is not resolved; layerKey is provisional',
    'Module "web": sshPassword enters layerKey under the farm\'s key; layerKey is provisional',
  ]);
  expect(stderr).toContain('Planned offline.');
  expect(stdout).not.toContain('other');
  expect(code).toBe(0);
});

test('problems are printed with their places, and there is no plan', async () => {
  const file = await moduleFile(
    'cycle.yaml',
    TWO_LAYERS.replace(/source: \{ url.*\}/, 'source: { buildRef: { name: web } }'),
  );
  const people = await slipway('plan', '--offline', file);
  expect(people).toMatchObject({ code: 1, stderr: '1 error, 0 warnings\n' });
  expect(people.stdout).toBe(
    `${file}:2:1: error: Module "base": the modules start from each other: base -> web -> base (GraphCycle)\n`,
  );
  const program = await slipway('plan', '--offline', '--json', file);
  const answer = JSON.parse(program.stdout);
  expect([program.code, answer.ok]).toEqual([1, false]);
  expect(
    problemSchema
      .array()
      .parse(answer.problems)
      .map(({ code }) => code),
  ).toEqual(['GraphCycle']);
  expect((await slipway('validate', file)).code).toBe(1);
});

test('a farm is asked first, with the files, variables and what not to reuse', async () => {
  const plan: Plan = {
    modules: [{ name: 'base', layerKey: 'ab'.repeat(32), action: 'reuse', why: 'base:1', dependsOn: [], jobs: [] }],
    criticalPath: [],
    totals: { modules: 1, jobs: 0 },
    warnings: [],
  };
  const asked: unknown[] = [];
  const farm = createServer(async (request, response) => {
    asked.push([request.method, request.url, JSON.parse(await text(request))]);
    response.end(JSON.stringify(plan));
  });
  onTestFinished(() => void farm.close());
  await once(farm.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(farm.address() as AddressInfo).port}`;
  const file = await moduleFile('layers.yaml', TWO_LAYERS);
  const { stdout, code } = await slipway(
    'plan',
    file,
    '--url',
    url,
    '--rebuild',
    'web',
    '--only',
    'web',
    '--var',
    'password=x',
  );
  expect(asked).toEqual([
    [
      'POST',
      '/api/v1/plan?rebuild=web&only=web',
      { files: [{ path: file, text: TWO_LAYERS }], variables: { password: 'x' } },
    ],
  ]);
  expect(stdout).toBe(
    'MODULE  ACTION  LAYER KEY     JOBS  STARTS FROM  WHY\nbase    reuse   abababababab  0     -            base:1\n\n1 module, 0 jobs\n',
  );
  expect(code).toBe(0);
});

test('offline, a module that names a secret has a provisional key', async () => {
  const body = `name: m\nvms: [{ name: a, source: { blank: true }, shutdownCommand: "\${secret.token}" }]\n`;
  const file = await moduleFile('secret.yaml', body);
  const { stdout, code } = await slipway('plan', file, '--offline', '--json');
  expect(code).toBe(0);
  expect(planSchema.parse(JSON.parse(stdout)).warnings).toEqual([
    'Module "m": the identity of the secret "token" is not resolved; layerKey is provisional',
  ]);
  expect(await slipway('validate', file, '--strict', '--json')).toMatchObject({
    code: 0,
    stdout: '{"ok":true,"problems":[]}\n',
  });
});
