import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';

const [NODE, MAIN] = programCommand('cli/main');
const GOOD = 'name: good\nvms: [{ name: a, source: { blank: true } }]\n';
const WARNS = 'name: warns\nvms: [{ name: a, source: { blank: true }, bootCommand: ["<foo>"] }]\n';
const BAD = 'name: bad\nretries: -1\nvms:\n  - nme: "a\\e[31mred"\n    source: { blank: true }\n';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-validate-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function slipway(args: readonly string[], stdin = '') {
  const child = spawn(NODE, [MAIN, ...args], { cwd: directory });
  child.stdin.end(stdin);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

describe('slipway validate', () => {
  it('reports nothing on stdout and ends with 0 when all is well', async () => {
    expect(await slipway(['validate', '-'], GOOD)).toEqual({
      stdout: '',
      stderr: '1 module in 1 file: no problems\n',
      code: 0,
    });
  });

  it('prints every problem of a directory with its place, sorted, and ends with 1', async () => {
    const tree = join(directory, 'tree');
    await mkdir(join(tree, 'node_modules'), { recursive: true });
    await mkdir(join(tree, 'nested'));
    await Promise.all([
      writeFile(join(tree, 'b.yaml'), BAD),
      writeFile(join(tree, 'nested', 'c.json'), '{\n\t"name": "c",\n\t"vms": []\n}'),
      writeFile(join(tree, 'node_modules', 'd.yaml'), 'name: ['),
      writeFile(join(tree, 'notes.txt'), 'name: ['),
      symlink('nowhere', join(tree, 'dangling.yaml')),
      writeFile(join(tree, '.hidden.yaml'), 'name: ['),
      writeFile(join(tree, 'UPPER.YAML'), GOOD.replace(/^name: .*/m, 'name: upper')),
    ]);
    const { stdout, stderr, code } = await slipway(['validate', 'tree']);
    expect(stdout.split('\n')).toEqual([
      'tree/b.yaml:2:10: error: retries: "-1" is not a whole number from 0 to 100 (InvalidValue)',
      'tree/b.yaml:4:5: error: vms[0].name: is required (MissingField)',
      'tree/b.yaml:4:5: error: vms[0]: unknown key "nme"; did you mean "name"? (UnknownKey)',
      'tree/nested/c.json:3:2: error: vms: a module needs at least one VM (MissingField)',
      expect.stringMatching(/^tree\/dangling\.yaml:1:1: error: cannot be read: ENOENT.* \(Unreadable\)$/),
      '',
    ]);
    expect([stderr, code]).toEqual(['5 errors, 0 warnings\n', 1]);
  });

  it('names the files that are not UTF-8, and reads the others', async () => {
    const tree = join(directory, 'encodings');
    await mkdir(tree);
    await Promise.all([
      writeFile(join(tree, 'bad.yaml'), BAD),
      writeFile(join(tree, 'latin1.yaml'), Buffer.from('name: m\n# caf\xe9\n', 'latin1')),
      writeFile(join(tree, 'marked.yaml'), `\ufeff${GOOD}`),
      writeFile(join(tree, 'utf16.yaml'), Buffer.from(`\ufeff${GOOD}`, 'utf16le')),
    ]);
    const { stdout } = await slipway(['validate', 'encodings']);
    const unread = stdout.split('\n').filter((line) => line.includes('Unreadable'));
    expect(unread.sort()).toEqual([
      'encodings/latin1.yaml:2:1: error: is not UTF-8 text (perhaps Latin-1 or Windows-1252): save it as UTF-8 (Unreadable)',
      'encodings/utf16.yaml:1:1: error: is not UTF-8 text but UTF-16 or something binary: save it as UTF-8 (Unreadable)',
    ]);
    expect(stdout).toContain('encodings/bad.yaml:2:10: error: retries');
  });

  it('prints one JSON object', async () => {
    const { stdout, code } = await slipway(['validate', '--json', '-', '/nowhere.yaml'], WARNS);
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      problems: [
        expect.objectContaining({ file: '<stdin>', line: 2, column: 57, severity: 'warning', code: 'BootCommand' }),
        expect.objectContaining({ file: '/nowhere.yaml', line: 1, column: 1, severity: 'error', code: 'Unreadable' }),
      ],
    });
    expect(code).toBe(1);
  });

  it('lets warnings pass, unless it is strict', async () => {
    expect(await slipway(['validate', '-'], WARNS)).toMatchObject({ code: 0, stderr: '0 errors, 1 warning\n' });
    expect(await slipway(['validate', '--strict', '-'], WARNS)).toMatchObject({ code: 1 });
    const unsupported = GOOD.replace('blank: true }', 'blank: true }, communicator: { shell: powershell }');
    expect(JSON.parse((await slipway(['validate', '--strict', '--json', '-'], unsupported)).stdout)).toMatchObject({
      ok: false,
      problems: [{ severity: 'warning', code: 'NotYetSupported' }],
    });
  });

  it('passes variables on, and refuses those that are misshapen', async () => {
    const file = `variables: { size: {} }\n${GOOD.replace('true }', 'true }, resources: { memory: "$" }')}`;
    const module = file.replace('$', `\${var.size}`);
    expect(await slipway(['validate', '-', '--var', 'size=2Gi'], module)).toMatchObject({ code: 0 });
    expect((await slipway(['validate', '-'], module)).stdout).toContain('<stdin>:1:14: error:');
    expect(await slipway(['validate', '-', '--var', 'size'], module)).toMatchObject({ code: 1, stdout: '' });
  });

  it('lets no escape sequence of a file reach the terminal', async () => {
    const { stdout } = await slipway(
      ['validate', '-'],
      'name: "a\\e[31mred\\x07"\nvms: [{ name: a, source: { blank: true } }]\n',
    );
    expect(stdout).toContain('<stdin>:1:7: error: name:');
    expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe('slipway', () => {
  it('shows its commands, and suggests the nearest one for an unknown one', async () => {
    const { stdout, code } = await slipway(['--help']);
    expect(code).toBe(0);
    for (const command of ['validate', 'bootcommand', 'up', 'build'])
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    expect(await slipway(['validat', 'x'])).toMatchObject({ code: 1, stderr: expect.stringContaining('validate?') });
  });
});

describe('slipway bootcommand', () => {
  it('prints the events as JSON, with explicit waits only', async () => {
    const { stdout, code } = await slipway(['bootcommand', '--json', '<wait5>A<enter>']);
    expect(JSON.parse(stdout)).toEqual({
      events: [
        { type: 'wait', ms: 5000 },
        { type: 'key', keysym: '0xffe1', down: true },
        { type: 'key', keysym: '0x41', down: true },
        { type: 'key', keysym: '0x41', down: false },
        { type: 'key', keysym: '0xffe1', down: false },
        { type: 'key', keysym: '0xff0d', down: true },
        { type: 'key', keysym: '0xff0d', down: false },
      ],
      warnings: [],
    });
    expect(code).toBe(0);
  });

  it('ends with 1 when the text can never be typed', async () => {
    const { stdout, code } = await slipway(['bootcommand', '--json', '<wait0>']);
    expect(JSON.parse(stdout)).toEqual({ error: '"<wait0>" must wait longer than zero' });
    expect(code).toBe(1);
    expect(await slipway(['bootcommand', '<wait0>'])).toMatchObject({ stdout: '', code: 1 });
  });

  it('answers every line of standard input by a line', async () => {
    const { stdout, code } = await slipway(['bootcommand', '--stdin'], '"<f1on>"\n["<f","1off>"]\n"<wait-1s>"\n');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.events?.[0] ?? line.error)).toEqual([
      { type: 'key', keysym: '0xffbe', down: true },
      { type: 'key', keysym: '0xffbe', down: false },
      '"<wait-1s>" must wait longer than zero',
    ]);
    expect(code).toBe(0);
    expect(await slipway(['bootcommand', '--stdin'], 'no JSON\n')).toMatchObject({
      stdout: '{"error":"line 1 is not a JSON string"}\n',
      code: 1,
    });
  });
});
