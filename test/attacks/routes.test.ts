import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FarmClient } from '../../cli/client/farm-client.ts';
import type { Operation } from '../../common/contracts/api/operation.ts';
import { OPERATIONS } from '../../common/contracts/api/operations.ts';
import { includesRole, type TokenRole } from '../../common/contracts/tokens.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { type LoneScheduler, openLoneScheduler } from '../harness/lone-scheduler.ts';

/*
 * The attacker asks each operation of the API for what it does not give: with a lesser role, from a page of another host, by
 * names that mean something else to a file system, a header, a key of Redis or an object of JavaScript.
 */
const resources = new ReleaseStack();
let scheduler: LoneScheduler;
let admin: FarmClient;
let redis: Redis;

beforeAll(async () => {
  const limits = { requestsPerMinute: 100_000, refusalsPerMinute: 100_000 };
  ({ scheduler, admin, redis } = await openLoneScheduler(resources, { limits }));
}, 120_000);

afterAll(() => resources.close());

const OPERATION_LIST: readonly (readonly [string, Operation])[] = Object.entries(OPERATIONS);
const ROLES: readonly TokenRole[] = ['viewer', 'builder', 'admin'];
const PLAIN = 'x';
const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': 'binary',
};

const JSON_BODY = { 'content-type': 'application/json', 'content-length': '2' };

const isSocket = ({ answers }: Operation) => 101 in answers;
const changes = (operation: Operation) => operation.method !== 'get' || isSocket(operation);

function pathOf({ path }: Operation, name = PLAIN): string {
  return path.replace(/\{\w+\}/g, encodeURIComponent(name));
}

interface Seen {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

async function ask(operation: Operation, headers: Record<string, string>, path = pathOf(operation)): Promise<Seen> {
  const hasBody = operation.method !== 'get' && operation.method !== 'delete';
  const asked = request(`${scheduler.url}${path}`, {
    method: operation.method.toUpperCase(),
    headers: { ...(isSocket(operation) ? UPGRADE : {}), ...(hasBody ? JSON_BODY : {}), ...headers },
  });
  asked.end(hasBody ? '{}' : undefined);
  return await answerOf(asked);
}

/** Also of a WebSocket that is let in: 101. */
function answerOf(asked: ClientRequest): Promise<Seen> {
  return new Promise((resolve, reject) => {
    asked.on('error', reject);
    asked.on('upgrade', (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: '' });
    });
    asked.on('response', async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString() });
    });
  });
}

async function look(url: string, cookie: string): Promise<Seen> {
  return await answerOf(request(url, { headers: { cookie } }).end());
}

async function bearerOf(role: TokenRole): Promise<{ authorization: string }> {
  const { token } = await admin.createToken({ role, name: role });
  return { authorization: `Bearer ${token}` };
}

async function signIn(link: string, cookie = ''): Promise<string | undefined> {
  const { headers } = await look(link, cookie);
  return [headers['set-cookie']].flat()[0]?.split('; ')[0];
}

test('each operation is closed to callers without a token and to every role below its own', async ({ annotate }) => {
  let refused = 0;
  for (const role of ROLES) {
    const bearer = await bearerOf(role);
    for (const [id, operation] of OPERATION_LIST) {
      if (operation.role === null || includesRole(role, operation.role)) continue;
      const { status, text } = await ask(operation, bearer);
      expect([id, role, status, text]).toEqual([id, role, 403, expect.stringContaining('"Forbidden"')]);
      refused += 1;
    }
  }
  for (const [id, operation] of OPERATION_LIST.filter(([, { role }]) => role !== null)) {
    for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: 'Basic YWRtaW46YWRtaW4=' }]) {
      expect([id, (await ask(operation, headers)).status]).toEqual([id, 401]);
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(150);
  await annotate(`${refused} refusals`);
});

test('no page of another host uses the session of its viewer, whatever the operation and the way it names itself', async ({
  annotate,
}) => {
  const cookie = (await signIn(await admin.consoleLink())) ?? '';
  expect(cookie).toContain('slipway_session=');
  const { host } = new URL(scheduler.url);
  const origins = ['http://evil.example', 'null', `http://${host}.evil.example`, `http://evil.example#${host}`];
  const forms = [...origins.map((origin) => ({ origin })), {}, { origin: `http://evil.example/?${scheduler.url}` }];
  const post = { method: 'post', path: '/', role: 'viewer', summary: '', answers: {} } as const;
  const others = ['/sign-out', '/queues/api/queues/import--lab/pause', '/queues/api/queues/import--lab/add'];
  let tried = 0;
  for (const headers of forms) {
    for (const [id, operation] of OPERATION_LIST.filter(([, one]) => one.role !== null && changes(one))) {
      expect([id, headers, (await ask(operation, { cookie, ...headers })).status]).toEqual([id, headers, 403]);
      tried += 1;
    }
    for (const path of others) {
      expect([path, headers, (await ask(post, { cookie, ...headers }, path)).status]).toEqual([path, headers, 403]);
      tried += 1;
    }
  }
  // The session is as good as before.
  expect((await look(`${scheduler.url}/api/v1/whoami`, cookie)).status).toBe(200);
  await annotate(`403, ${tried} times`);
});

test('one link that is opened fifty times at once gives one session, and none that its sender has chosen', async ({
  annotate,
}) => {
  const link = await admin.consoleLink();
  const chosen = `slipway_session=${'a'.repeat(43)}`;
  const cookies = await Promise.all(Array.from({ length: 50 }, () => signIn(link, chosen)));
  const given = cookies.filter((cookie) => cookie !== undefined);
  expect(given).toHaveLength(1);
  expect(given[0]).not.toBe(chosen);
  expect((await look(`${scheduler.url}/api/v1/whoami`, chosen)).status).toBe(401);
  await annotate('one session');
});

const NAMES: Readonly<Record<string, string>> = {
  'a path': '../../../../etc/passwd',
  'a path twice encoded': '%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  'an absolute path': '/etc/passwd',
  'a line of a header': 'a\r\nset-cookie: slipway_session=chosen',
  'a zero byte': 'a\0b',
  'a hash tag of Redis': '{farm}:tokens',
  'a pattern of Redis': '*',
  'a separator of keys': 'a:b:c',
  prototype: '__proto__',
  'a quote': '"\'`;$(id)',
  'a template': ['$', '{secret.TOKEN}'].join(''),
  markup: '<script>alert(1)</script>',
  'text from right to left': 'a\u202Egpj.exe',
  'half a character': 'a\uFFFD',
  'a long name': 'a'.repeat(8000),
  'a slow name': `${'a-'.repeat(3000)}!`,
  'a number': '18446744073709551616',
};

test.each(Object.entries(NAMES))('no operation takes %s for a name', async (_, name) => {
  const authorization = `Bearer ${scheduler.token}`;
  const before = await keysOf();
  for (const [id, operation] of OPERATION_LIST.filter(([, { path }]) => path.includes('{'))) {
    const { status, headers, text } = await ask(operation, { authorization }, pathOf(operation, name));
    expect([id, status]).toEqual([id, expect.toSatisfy((code: number) => code >= 400 && code < 500)]);
    expect([id, headers['set-cookie']]).toEqual([id, undefined]);
    expect([id, text.includes('root:x:')]).toEqual([id, false]);
    // A refusal repeats a name as JSON, which no browser takes for a page.
    expect([id, headers['content-type'], headers['x-content-type-options']]).toEqual([
      id,
      expect.stringContaining('json'),
      'nosniff',
    ]);
  }
  expect((await keysOf()).filter((key) => !before.includes(key))).toEqual([]);
});

/** Without what the scheduler writes by itself. */
async function keysOf(): Promise<string[]> {
  const keys = await redis.keys('*');
  return keys.filter((key) => !/presence|lease|beat|lock|refus|limit|bull|clock|scheduler/.test(key));
}

test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
  'a property that every object of JavaScript has is neither a variable nor a secret: %s',
  async (name) => {
    for (const reference of [`\${var.${name}}`, `\${secret.${name}}`]) {
      const steps = `provisioners: [{ type: shell, shell: { inline: "echo ${reference}" } }]`;
      const text = `name: m\nvms: [{ name: v, source: { blank: true }, ${steps} }]`;
      const refused = admin.plan({ files: [{ path: 'm', text }], variables: {} });
      await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(name) });
    }
  },
);
