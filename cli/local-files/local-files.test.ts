import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lookupIn } from '../../common/contracts/local-files.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { findLocalFiles, lookupFound } from './find-local-files.ts';
import { hashLocalFiles } from './hash-local-files.ts';

const sha256 = (content: string | Buffer) => hash('sha256', content);
const url = (content: string | Buffer) => `blob:${sha256(content)}`;

let directory: string;
let file: string;
let socket: Server;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slipway-local-'));
  file = join(directory, 'lab', 'site.yaml');
  const put = async (path: string, content: string | Buffer, mode = 0o644) => {
    const at = join(directory, 'lab', path);
    await mkdir(dirname(at), { recursive: true });
    await writeFile(at, content, { mode });
  };
  const iso = Buffer.alloc(40_000);
  iso.write('CD001', 32_769);
  await put('setup.sh', '#!/bin/sh\n', 0o750);
  await put('windows.sh', 'echo one\r\necho two\r\n');
  await put('grüße an alle.txt', 'hallo');
  await put('utf16.sh', Buffer.from('\ufeffecho one\n', 'utf16le'));
  await put('program', Buffer.from('\x7fELF\0\0\0'));
  await put('empty', '');
  await put('disk.raw', Buffer.alloc(1024));
  await put('page.qcow2', '<!DOCTYPE html><html>Not found</html>');
  await put('disk.vmdk', '# Disk DescriptorFile\nversion=1\n');
  await put('pointer.iso', 'version https://git-lfs.github.com/spec/v1\n');
  await put('good.iso', iso);
  await put('www/index.html', 'index', 0o600);
  await put('www/a/b/tool', 'tool', 0o755);
  await put('www/.git/config', 'not sent');
  await put('../outside.sh', 'echo outside');
  await mkdir(join(directory, 'lab', 'www', 'void'));
  await mkdir(join(directory, 'lab', 'nothing'));
  await symlink('../outside.sh', join(directory, 'lab', 'leaves.sh'));
  await symlink('setup.sh', join(directory, 'lab', 'stays.sh'));
  await mkdir(join(directory, 'lab', 'loop'));
  await symlink('.', join(directory, 'lab', 'loop', 'up'));
  await mkdir(join(directory, 'lab', 'leaving'));
  await symlink('../../outside.sh', join(directory, 'lab', 'leaving', 'out'));
  socket = createServer().listen(join(directory, 'lab', 'socket'));
  await once(socket, 'listening');
});

afterAll(async () => {
  socket.close();
  await rm(directory, { recursive: true });
});

/** A module with one VM; `body` and `vm` are further lines. */
function moduleOf({ source = '{ blank: true }', vm = '', body = '' } = {}): string {
  return `name: site\n${body}vms:\n  - name: vm\n    source: ${source}\n${vm}`;
}

const step = (settings: string) => `    provisioners:\n      - ${settings}\n`;
const script = (path: string) => moduleOf({ vm: step(`{ type: shell, shell: { script: "${path}" } }`) });

function check(text: string, { allowOutside = false, strict = false } = {}) {
  const files = [{ path: file, text }];
  const local = lookupFound(findLocalFiles(files, { variables: {}, allowOutside }));
  const { problems } = parseModules(files, { local, strict });
  return problems.map(({ line, column, severity, code, message }) => [line, column, severity, code, message]);
}

test.each([
  ['that is missing', './setup.sch', 'does not exist', 'did you mean "setup.sh"?'],
  ['with a tilde', '~/setup.sh', '~ is not expanded', ''],
  ['that is a pattern', './*.sh', 'patterns are not expanded', ''],
  ['written as on Windows', '.\\\\setup.sh', 'write / between', ''],
  ['outside by its name', '../outside.sh', 'outside the folder of the module file', '--allow-outside'],
  ['that is absolute', '/etc/passwd', 'leads to "/etc/passwd", outside', '--allow-outside'],
  ['outside by a link', 'leaves.sh', 'outside.sh", outside the folder', '--allow-outside'],
  ['that is a folder', 'nothing', 'is a folder: a script is a file', ''],
  ['that PowerShell wrote', 'utf16.sh', 'is in UTF-16: save it in UTF-8', ''],
  ['that is a program', 'program', 'is a program or other binary content', 'a step of type file'],
  ['that is a socket', 'socket', 'is neither a file nor a folder', ''],
])('a script %s is refused with its place', (_what, path, ...expected) => {
  const [problem, ...others] = check(script(path));
  expect(problem?.slice(0, 4)).toEqual([6, 41, 'error', 'LocalFile']);
  for (const words of expected) expect(problem?.[4]).toContain(words);
  expect(others).toEqual([]);
});

test.each([
  ['an image that is a page', moduleOf({ source: '{ path: page.qcow2 }' }), 'is an HTML page, not a disk image'],
  ['an image that describes others', moduleOf({ source: '{ path: disk.vmdk }' }), 'descriptor of a VMDK'],
  ['an empty image', moduleOf({ source: '{ path: empty }' }), 'is empty: it is not a disk image'],
  ['an image that is a folder', moduleOf({ source: '{ path: www }' }), 'is a folder: a disk image is a file'],
  ['an ISO that is none', moduleOf({ vm: '    isos: [{ path: disk.raw }]\n' }), 'it is not an ISO'],
  ['an ISO that was not fetched', moduleOf({ vm: '    isos: [{ path: pointer.iso }]\n' }), 'it is not an ISO'],
  ['a served file', moduleOf({ body: 'httpDirectory: { path: setup.sh }\n' }), 'is a file: name a folder'],
  ['a folder that leads out', moduleOf({ body: 'httpDirectory: { path: leaving }\n' }), 'holds "out", which leads to'],
  [
    'a folder without end',
    moduleOf({ body: 'httpDirectory: { path: loop }\n' }),
    'a link to a folder that contains it',
  ],
  [
    'a folder on a floppy',
    moduleOf({ body: 'files: [{ path: www }]\n', vm: '    floppy: { files: [{ name: www }] }\n' }),
    'a floppy holds files only',
  ],
  [
    'a script twice',
    moduleOf({ vm: step('{ type: shell, shell: { script: setup.sh, inline: "true" } }') }),
    'are mutually exclusive',
  ],
  ['an ISO twice', moduleOf({ vm: '    isos: [{ path: good.iso, url: "http://x/y" }]\n' }), 'are mutually exclusive'],
  ['a source with a foreign checksum', moduleOf({ source: `{ path: disk.raw, checksum: ${sha256('')} }` }), 'with url'],
  [
    'two files of a name',
    moduleOf({ body: 'files: [{ path: www/index.html }, { name: index.html, inline: a }]\n' }),
    'already used',
  ],
])('%s is refused', (_what, text, words) => {
  expect(check(text).filter(([, , severity]) => severity === 'error')).toEqual([
    [expect.any(Number), expect.any(Number), 'error', expect.any(String), expect.stringContaining(words)],
  ]);
});

test.each([
  ['lines of Windows', script('windows.sh'), 'CR LF'],
  ['an empty script', script('empty'), 'is an empty script'],
  ['an empty folder', moduleOf({ body: 'httpDirectory: { path: nothing }\n' }), 'is an empty folder'],
  ['a .git folder', moduleOf({ body: 'httpDirectory: { path: ./www }\n' }), 'contains ".git", which is not sent'],
])('warns of %s', (_what, text, words) => {
  expect(check(text)).toEqual([
    [expect.any(Number), expect.any(Number), 'warning', 'LocalFile', expect.stringContaining(words)],
  ]);
});

test.each([
  ['a link that stays inside', script('stays.sh'), false],
  ['a way out and in again', script('../lab/setup.sh'), false],
  ['what is outside, when that is allowed', script('../outside.sh'), true],
  ['an image and an ISO', moduleOf({ source: '{ path: disk.raw }', vm: '    isos: [{ path: ./good.iso }]\n' }), false],
])('takes %s', (_what, text, allowOutside) => {
  expect(check(text, { allowOutside })).toEqual([]);
});

test('sends everything once, in one order, and the farm compiles what was found', async () => {
  const text = moduleOf({
    body: 'files:\n  - { path: ./grüße an alle.txt }\n  - { name: tree, path: www/ }\nhttpDirectory: { path: www }\n',
    vm:
      step('{ type: shell, shell: { script: setup.sh } }') +
      '      - { type: file, file: { path: setup.sh, destination: /x } }\n',
  });
  const files = [{ path: file, text }];
  const found = findLocalFiles(files, { variables: {}, allowOutside: false });
  const { entries, contents, lookup } = await hashLocalFiles(found, new TransferLine(process.stderr));
  const lab = join(directory, 'lab');
  expect(entries).toEqual([
    { path: `${lab}/setup.sh`, sha256: sha256('#!/bin/sh\n'), sizeBytes: 10, mode: '0750' },
    { path: `${lab}/grüße an alle.txt`, sha256: sha256('hallo'), sizeBytes: 5, mode: '0644' },
    { path: `${lab}/www`, folder: true },
    { path: `${lab}/www/a`, folder: true },
    { path: `${lab}/www/a/b`, folder: true },
    { path: `${lab}/www/a/b/tool`, sha256: sha256('tool'), sizeBytes: 4, mode: '0755' },
    { path: `${lab}/www/index.html`, sha256: sha256('index'), sizeBytes: 5, mode: '0600' },
    { path: `${lab}/www/void`, folder: true },
  ]);
  expect(contents.size).toBe(4);
  const { modules, problems } = parseModules(files, { local: lookupIn(entries.toReversed()) });
  expect(problems).toEqual([]);
  const [tool, index] = [
    { kind: 'file', url: url('tool'), sizeBytes: 4, mode: 0o755 },
    { kind: 'file', url: url('index'), sizeBytes: 5, mode: 0o600 },
  ];
  const tree = {
    kind: 'folder',
    entries: [
      { path: 'a', file: null },
      { path: 'a/b', file: null },
      { path: 'a/b/tool', file: tool },
      { path: 'index.html', file: index },
      { path: 'void', file: null },
    ],
  };
  const setup = { kind: 'file', url: url('#!/bin/sh\n'), sizeBytes: 10, mode: 0o750 };
  expect(modules[0]).toMatchObject({
    files: [
      { name: 'grüße an alle.txt', kind: 'local', content: { url: url('hallo') } },
      { name: 'tree', kind: 'local', content: tree },
    ],
    httpFolder: tree,
    vms: [{ steps: [{ script: '', scriptFile: setup }, { local: setup }] }],
  });
  // What is planned offline is what the farm plans.
  expect(parseModules(files, { local: lookup }).modules).toEqual(modules);
});

test('a source and an ISO are URLs with a checksum for all code after the parser', () => {
  const text = moduleOf({ source: '{ path: ./d }', vm: '    isos: [{ path: d }]\n' });
  const local = lookupIn([{ path: 'lab/d', sha256: 'a'.repeat(64), sizeBytes: 9 }]);
  const { modules } = parseModules([{ path: 'lab/m.yaml', text }], { local });
  const pinned = { url: `blob:${'a'.repeat(64)}`, checksum: { algorithm: 'sha256', hex: 'a'.repeat(64) } };
  expect(modules[0]?.vms[0]).toMatchObject({ source: { kind: 'url', ...pinned }, isos: [pinned] });
});
