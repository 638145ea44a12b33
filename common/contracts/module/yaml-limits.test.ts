// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the references of module files are written so.
import { expect, test } from 'vitest';
import { parseModules } from './parse.ts';
import { MAX_LISTED } from './problem-list.ts';
import { requestLimits, USUAL_MODULES } from './yaml-limits.ts';

const MODULE = 'name: m\nvms: [{ name: v, source: { blank: true }';
const BOMB = [...'bcdefghij'].map((name, index) => {
  const before = 'abcdefghij'[index];
  return `${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]`;
});

const SMALL_VM = `  - name: vm
    source: { buildRef: { name: root } }
    resources: { cpu: 1, memory: 256Mi }
    provisioners: [{ type: shell, shell: { inline: "echo done" } }]
`;

const EXCESSES: readonly (readonly [string, string, string, string])[] = [
  ['documents', 'name: m\n---\n'.repeat(6_000), '10002:1', 'at most 5000 documents'],
  [
    'words and marks',
    `${MODULE}}]\n${'x: 1\n'.repeat(200_000)}`,
    ':',
    'a request may have at most 600000 words and marks',
  ],
  ['empty items', `name: m\nvms:\n${'  -\n'.repeat(300_000)}`, ':', 'at most 600000 words and marks'],
  ['open brackets', `name: ${'['.repeat(200_000)}`, '1:', 'nested more than 100 levels deep'],
  ['compact lists', `name:\n  ${'- '.repeat(50_000)}`, '2:', 'nested more than 100 levels deep'],
  ['anchors', `name: m\nvms:\n${'  - &a x\n'.repeat(6_000)}`, '5003:5', 'at most 5000 anchors and aliases'],
  ['aliases of aliases', `a: &a [x, x]\n${BOMB.join('\n')}\nname: m\nvms: *j\n`, '1:1', 'an alias cannot be resolved'],
  ['a text', `${MODULE}, shutdownCommand: ${'x'.repeat(2 ** 20 + 1)} }]`, '2:', 'this text has 1048577 characters'],
  ['a word', `${MODULE}, cpuModel: x }]\nnamespace: ${'a'.repeat(100_000)}`, '3:12', 'at most 8192 are allowed'],
  ['machines', `name: m\nvms:\n${'  - { name: v, source: { blank: true } }\n'.repeat(201)}`, '2:1', '200 items'],
  ['a boot command', `${MODULE}, bootCommand: ["${'<'.repeat(100_001)}"] }]`, '2:', 'at most 100000 can be typed'],
  [
    'a filled text',
    `variables: { x: ${'y'.repeat(2 ** 10)} }\n${MODULE}, shutdownCommand: "${'${var.x}'.repeat(2 ** 11)}" }]`,
    '3:',
    'at most 1048576 characters',
  ],
  ['secrets', `${MODULE}, shutdownCommand: "${'${secret.x}'.repeat(201)}" }]`, '2:', 'refer to secrets 200 times'],
  [
    'user data',
    `${MODULE}, cloudInit: { userData: "#cloud-config\\na: ${'['.repeat(200)}" } }]`,
    '2:',
    'nested more than 100 levels deep',
  ],
  [
    'words and marks in user data',
    `${MODULE}, cloudInit: { userData: "#cloud-config\\n${'a: b\\n'.repeat(25_000)}" } }]`,
    '2:',
    'at most 100000 words and marks',
  ],
  [
    'words and marks in network data',
    `${MODULE}, cloudInit: { networkData: "${'a: b\\n'.repeat(25_001)}" } }]`,
    '2:',
    'at most 100000 words and marks',
  ],
  [
    'user data of aliases',
    `${MODULE}, cloudInit: { userData: "#cloud-config\\na: &a [x, x]\\n${BOMB.join('\\n')}" } }]`,
    '2:',
    'xcessive alias count',
  ],
];

test.each(EXCESSES)('refuses too much of %s, and names the place and the limit', (_what, text, place, message) => {
  const { problems, modules } = parseModules([{ path: 'm.yaml', text }]);
  const found = problems.find((problem) => problem.message.includes(message));
  expect({ found, listed: problems.slice(0, 3) }).toMatchObject({ found: { file: 'm.yaml', severity: 'error' } });
  expect(`${found?.line}:${found?.column}`).toContain(place);
  expect(modules).toEqual([]);
});

test('values that aliases repeat count wherever they are', () => {
  const list = Array(3_000).fill('x').join(', ');
  const rest = Array.from({ length: 68 }, (_, index) => `k${index}: *a`).join('\n');
  const parts = Array.from({ length: 3 }, () => `name: m\na: &a [${list}]\n${rest}\n`);
  const { problems } = parseModules([{ path: 'm.yaml', text: parts.join('---\n') }]);
  expect(problems.filter(({ code }) => code === 'TooLarge')).toMatchObject([{ line: 143, column: 1 }]);
});

test('as many small modules as a farm takes fit into one request, and more where it is configured', () => {
  const small = (index: number) => `name: m${index}\nvms:\n${SMALL_VM}`;
  const textOf = (modules: number) => Array.from({ length: modules }, (_, index) => small(index)).join('---\n');
  const read = (modules: number, mostModules: number) => {
    const parsed = parseModules([{ path: 'm.yaml', text: textOf(modules) }], { mostModules });
    return { modules: parsed.modules.length, excess: parsed.problems.find(({ code }) => code === 'TooLarge')?.message };
  };
  expect(read(101, 100)).toEqual({ modules: 101, excess: undefined });
  expect(read(102, 100)).toEqual({
    modules: 0,
    excess: expect.stringMatching('at most 100 documents: .* or raise http.limits.modules of the farm'),
  });
  // A farm that takes few modules takes large ones.
  expect(requestLimits(1)).toEqual({ ...requestLimits(USUAL_MODULES), documents: 1 });
  expect(requestLimits(25_000)).toMatchObject({ documents: 25_000, pieces: 3_000_000, filled: 5 * 2 ** 24 });
});

test('a map that is merged into itself is a problem', () => {
  const { problems } = parseModules([{ path: 'm.yaml', text: 'name: m\nlabels: &a { <<: *a }\nvms: [{ nam: x }]\n' }]);
  expect(problems.length).toBeGreaterThan(0);
});

test('lists some of many problems, errors first, and counts the others', () => {
  const steps = Array.from({ length: 300 }, () => '{ type: handbuild }').join(', ');
  const folded = Array.from({ length: 300 }, (_, index) => `  - name: f${index}\n    inline: >\n      a\n      b\n`);
  const text = `files:\n${folded.join('')}${MODULE}, provisioners: [${steps}] }]\n`;
  const { problems } = parseModules([{ path: 'm.yaml', text }]);
  const [last] = problems.slice(-1);
  expect(problems).toHaveLength(MAX_LISTED + 1);
  expect(problems.slice(0, -1).every(({ severity }) => severity === 'error')).toBe(true);
  expect(last).toMatchObject({ code: 'TooMany', severity: 'error' });
  expect(last?.message).toBe('100 more errors and 300 more warnings are not listed: correct these first');
});

test.each([
  ['a URL with a blank at its end', `source: { url: "http://${'a'.repeat(2 ** 19)} b" }`],
  ['broken URLs', `source: { url: "${'://'.repeat(2 ** 18)}" }`],
  ['templates that do not end', `bootCommand: ["${'{{user '.repeat(14_000)}"]`],
  ['references that do not end', `shutdownCommand: "${'${var.a.'.repeat(2 ** 17)}"`],
  ['digits', `resources: { memory: "${'1'.repeat(2 ** 19)}x" }`],
])('takes no time over %s', (_what, vm) => {
  const start = process.cpuUsage();
  parseModules([{ path: 'm.yaml', text: `name: m\nvms: [{ name: v, ${vm} }]` }]);
  // Each took minutes.
  expect(process.cpuUsage(start).user).toBeLessThan(3_000_000);
});
