import { expect, test } from 'vitest';
import { parseLocation } from './location.ts';
import { parseModules } from './parse.ts';
import { quoted, withoutPasswords } from './parsed.ts';
import { secretReference } from './secret-text.ts';

test.each([
  ['https://images.example/x.qcow2', { url: 'https://images.example/x.qcow2', credentials: null }],
  ['HTTPS://images.example/a@b', { url: 'https://images.example/a@b', credentials: null }],
  [
    'https://ci:hunter2@images.example:8443/x?y=z@w',
    { url: 'https://images.example:8443/x?y=z@w', credentials: { username: 'ci', password: 'hunter2' } },
  ],
  // What Git and curl take, too.
  ['http://a%40b:p%3A%2F@h/', { url: 'http://h/', credentials: { username: 'a@b', password: 'p:/' } }],
  ['http://ci:a:b@c@h/', { url: 'http://h/', credentials: { username: 'ci', password: 'a:b@c' } }],
  [
    `https://ci:${secretReference('pw')}@h/x`,
    { url: 'https://h/x', credentials: { username: 'ci', password: secretReference('pw') } },
  ],
])('reads %s', (written, value) => expect(parseLocation(written)).toEqual({ value }));

test.each([
  ['ftp://ci:hunter2@h/x', '"ftp://***@h/x" is not an http or https URL'],
  ['http://ci:hun/ter2@h/x', '"http://***@h/x"'],
  ['http://ci:hunter2@h/x y', '"http://***@h/x y" has a blank in it'],
  [' https://h/x', 'has blanks around it'],
  ['/srv/x.qcow2', 'is a path'],
  ['file:///srv/x.qcow2', 'is a path'],
  ['docker://quay.io/x:1', 'containerDisk'],
  ['s3::https://s3.example/b/x', 'https address of the object'],
  ['git::https://h/x', 'write the https address alone'],
  ['images.example/x.qcow2', 'has no scheme: write https://'],
  ['ci:hunter2@images.example/x.qcow2', '"***@images.example/x.qcow2"'],
  ['htps://h/x', 'write https:// and a host'],
  ['https:///x', 'write https:// and a host'],
  ['x.qcow2', 'is a path'],
  ['~/x', 'is a path'],
  ['\\\\server\\x', 'is a path'],
  ['https://h:99999/x', 'has an invalid port'],
  ['https://[::1/x', 'without its closing bracket'],
  ['https://[::1:80', 'without its closing bracket'],
  ['https://h/{{ version }}/x', `holds a template of another tool: write \${var.NAME}`],
  ['https://h/{{version}}/x', `holds a template of another tool: write \${var.NAME}`],
  ['https://h/x https://i/y', 'holds more than one URL'],
  ['https://ci@h/x', 'a user without a password'],
  ['https://:hunter2@h/x', 'a user without a password'],
  ['https://ci:100%@h/x', 'write %25'],
  [`https://h/${secretReference('path')}`, 'only in the user:password@'],
  [7, '"7" is not'],
])('reports what is wrong with %s', (written, part) => {
  const parsed = parseLocation(written);
  expect(parsed).toEqual({ complaint: expect.stringContaining(part) });
  expect(JSON.stringify(parsed)).not.toContain('hunter2');
});

test('shows no password of a URL, also where the text is cut', () => {
  expect(quoted(`http://ci:${'x'.repeat(80)}@h/`)).toBe('"http://***@h/"');
  expect(withoutPasswords('see http://a:b@h/x and https://c:d@i/y@2')).toBe('see http://***@h/x and https://***@i/y@2');
  expect(withoutPasswords('from a:b@h/x')).toBe('from ***@h/x');
  expect(withoutPasswords(`fedora:41@sha256:${'0'.repeat(64)}`)).toContain('fedora:41@');
});

test('no problem of a module shows a password, wherever the URL is written', () => {
  const url = 'https://ci:hunter2@images.example/x';
  const text = [
    `name: "${url}"`,
    `"${url}": 1`,
    `variables: { a: ["${url}"] }`,
    `timeout: "${url}"`,
    `vms: [{ name: vm, source: { url: "${url}", checksum: "${url}" }, memory: "${url}" }]`,
    'files:',
    `  - { name: "${url}", url: "ftp://ci:hunter2@h" }`,
  ].join('\n');
  const broken = `name: x\nvms: "${url}" "${url}"\n  ${url}: {`;
  for (const source of [text, broken]) {
    const { problems } = parseModules([{ path: 'm.yaml', text: source }]);
    expect(problems.length).toBeGreaterThan(1);
    expect(JSON.stringify(problems)).not.toContain('hunter2');
  }
});
