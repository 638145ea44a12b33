import { hash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ERRORS } from '../../common/errors/error-table.ts';
import { type LiveApi, MODULES, startApi } from './live-api.ts';

const schema = z.custom<z.core.JSONSchema.JSONSchema>((value) => typeof value === 'object');
const contentSchema = z.record(z.string(), z.object({ schema: schema.optional() }));
const operationSchema = z.object({
  operationId: z.string(),
  security: z.array(z.unknown()).optional(),
  parameters: z.array(z.object({ name: z.string(), in: z.enum(['path', 'query', 'header']), schema })),
  requestBody: z.object({ content: contentSchema }).optional(),
  responses: z.record(z.string(), z.object({ content: contentSchema.optional() })),
});
const documentSchema = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
  components: z.object({ schemas: z.object({ Problem: schema }) }),
});

interface DescribedOperation extends z.infer<typeof operationSchema> {
  readonly method: string;
  readonly path: string;
}

let api: LiveApi;
let document: z.infer<typeof documentSchema>;
let operations: readonly DescribedOperation[];
/** Values of path parameters with which every operation succeeds. */
let known: Readonly<Record<string, string>>;
/** Of `known.vm`, which the build has in several modules. */
let layerBuild: string;

beforeAll(async () => {
  api = await startApi();
  await api.reset();
  document = documentSchema.parse(await (await api.call('/api/openapi.json')).json());
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
  const { buildId } = await api.client.submit({ files: [{ path: 'lab.yaml', text: MODULES }], variables: {} });
  await api.work();
  await api.client.createToken({ role: 'viewer', name: 'somebody' });
  const sha256 = hash('sha256', 'a value');
  const image = { image: 'child:1', module: 'base', tag: 'stable' };
  const { id: ordered } = await api.client.images.startExport('child:1', {});
  known = { id: buildId, cluster: 'lab', vm: 'vm', name: 'somebody', sha256, export: ordered, ...image };
  layerBuild = (await api.client.build(buildId)).modules[0]?.layerBuild ?? '';
});

afterAll(() => api.close());

/** Bodies with which operations that take one succeed. */
const BODIES: Readonly<Record<string, unknown>> = {
  submitBuild: { files: [{ path: 'a.yaml', text: MODULES }] },
  plan: { files: [{ path: 'a.yaml', text: MODULES }] },
  pushImage: { reference: 'registry.test/x:1' },
  createToken: { role: 'viewer', expires: '1h' },
  setSecret: 'a value',
  putBlob: 'a value',
  tagImage: { version: 1 },
  changeCluster: { limits: { vms: 3 } },
  pruneImages: { keep: 1 },
  exportImage: {},
  importImage: { source: { url: 'https://images.test/disk.qcow2', checksum: `sha256:${'0'.repeat(64)}` } },
};
/** Bodies with which no operation succeeds: as JSON, and where any text is a value. */
const WRONG_JSON = [{ unknown: 1 }, [], 'text', null];
const WRONG_TEXT = ['', 'a\0b'];

/** Operations on what has not ended, or has failed; their success is in console.test.ts and http-api.test.ts. */
const NEED_A_MACHINE = [
  'openConsole',
  'readSshAccess',
  'openSsh',
  'runImage',
  'retryBuild',
  'openSerialConsole',
  'continueHandbuild',
  'downloadExport',
];

function ask(operation: DescribedOperation, { values = known, query = '', body = BODIES[operation.operationId] } = {}) {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_match, name: string) => values[name] ?? 'no.body');
  const [type = 'application/json'] = Object.keys(operation.requestBody?.content ?? {}).filter(
    (name) => !/yaml$/.test(name),
  );
  const isText = type !== 'application/json';
  const headers = { 'content-type': type };
  return api.call(`${path}${query}`, {
    method: operation.method,
    redirect: 'manual',
    ...(operation.requestBody ? { headers, body: isText ? String(body) : JSON.stringify(body) } : {}),
  });
}

async function expectProblem(answer: Response, what: string): Promise<void> {
  expect([what, answer.headers.get('content-type')]).toEqual([what, 'application/problem+json; charset=utf-8']);
  const problem = z.fromJSONSchema(document.components.schemas.Problem).parse(await answer.json());
  const { code, status } = z.object({ code: z.string(), status: z.int() }).parse(problem);
  expect([what, Object.keys(ERRORS)]).toEqual([what, expect.arrayContaining([code])]);
  expect([what, status]).toEqual([what, answer.status]);
}

test('every operation answers as it is described', async () => {
  expect(operations.length).toBeGreaterThan(15);
  for (const operation of operations.toSorted(
    (a, b) => Number(a.method === 'DELETE') - Number(b.method === 'DELETE'),
  )) {
    const { operationId: id, responses } = operation;
    const answer = await ask(operation, id === 'streamSerial' ? { query: `?layerBuild=${layerBuild}` } : {});
    if (NEED_A_MACHINE.includes(id)) {
      await expectProblem(answer, id);
      continue;
    }
    const described = responses[String(answer.status)];
    expect([id, Object.keys(responses)]).toEqual([id, expect.arrayContaining([String(answer.status)])]);
    const [type = '', { schema: shape = undefined } = {}] = Object.entries(described?.content ?? {})[0] ?? [];
    const text = await answer.text();
    expect([id, answer.headers.get('content-type')?.split(';')[0] ?? '']).toEqual([id, type]);
    if (shape === undefined) continue;
    const areEvents = type === 'text/event-stream';
    const values = areEvents ? [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => data ?? '') : [text];
    expect(values.length).toBeGreaterThan(0);
    const ofValues = areEvents ? contentOfEvents(shape) : shape;
    for (const value of values) {
      const read = z.fromJSONSchema(ofValues).safeParse(JSON.parse(value));
      expect([id, read.error?.message]).toEqual([id, undefined]);
    }
  }
});

/** The schema of what the `data` of events holds. */
function contentOfEvents(shape: object): z.core.JSONSchema.JSONSchema {
  const event = z.object({ properties: z.object({ data: z.object({ contentSchema: z.looseObject({}) }) }) });
  return event.parse(shape).properties.data.contentSchema;
}

test('only the probes are open', async () => {
  for (const { method, path, operationId, security } of operations) {
    const open = ['isAlive', 'isReady'].includes(operationId);
    expect([operationId, security]).toEqual([operationId, open ? [] : undefined]);
    const answer = await fetch(`${api.url}${path}`, { method });
    expect([operationId, answer.status]).toEqual([operationId, open ? 200 : 401]);
    if (!open) await expectProblem(answer, operationId);
  }
});

test('unknown and wrong inputs are refused with problem details', async () => {
  for (const operation of operations) {
    if (operation.security) continue;
    const { operationId: id, parameters, requestBody } = operation;
    await expectProblem(await ask(operation, { query: '?unknown=1' }), `${id}, unknown query`);
    const inPath = parameters.filter((parameter) => parameter.in === 'path');
    if (inPath.length > 0) await expectProblem(await ask(operation, { values: {} }), `${id}, unknown path`);
    if (requestBody) {
      const isText = !('application/json' in requestBody.content);
      // What is there already is not read again.
      if (id === 'putBlob') await rm(join(api.directory, 'whole', known['sha256'] ?? ''), { force: true });
      for (const body of isText ? WRONG_TEXT : [...WRONG_JSON, { ...Object(BODIES[id]), unknown: 1 }]) {
        await expectProblem(await ask(operation, { body }), `${id}, body ${JSON.stringify(body)}`);
      }
    }
    for (const { name, in: place } of parameters) {
      const wrong = place === 'query' && ['limit', 'cursor', 'noCache', 'strict', 'wait', 'follow'].includes(name);
      if (wrong) await expectProblem(await ask(operation, { query: `?${name}=%00` }), `${id}, wrong ${name}`);
    }
  }
  for (const path of ['/api/v1/nothing', '/nothing', '/api/v1/builds/x/y/z', '/api/v1/builds/%ff']) {
    await expectProblem(await api.call(path), path);
  }
});
