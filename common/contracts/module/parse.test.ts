import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { compileText } from '../../../test/harness/compile-text.ts';
import { vm as bareVm, top } from '../../../test/harness/refused-module.ts';
import { parseModules } from './parse.ts';

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);

const text = fc.string({ maxLength: 40 }).map((value) => value.replaceAll('$', ''));

const vm = fc.record(
  {
    source: fc.oneof(
      fc.constant({ blank: true }),
      fc.record({ url: fc.webUrl() }),
      name.map((parent) => ({ buildRef: { name: `${parent}-parent` } })),
    ),
    resources: fc.record(
      { cpu: fc.integer({ min: 1, max: 64 }), memory: fc.integer({ min: 2 ** 20 }) },
      { requiredKeys: [] },
    ),
    bootCommand: fc.array(
      text.filter((value) => !/[<{]/.test(value)),
      { maxLength: 3 },
    ),
    cloudInit: fc.record({ userData: text }, { requiredKeys: [] }),
    provisioners: fc.array(
      fc.oneof(
        fc.record({ type: fc.constant('shell'), shell: fc.record({ inline: text }) }),
        fc.record({ type: fc.constant('reboot') }),
      ),
      { maxLength: 3 },
    ),
    invisible: fc.boolean(),
  },
  { requiredKeys: ['source'] },
);

const body = fc.record(
  {
    vms: fc
      .uniqueArray(name, { minLength: 1, maxLength: 3 })
      .chain((names) =>
        fc
          .array(vm, { minLength: names.length, maxLength: names.length })
          .map((vms) => vms.map((one, index) => ({ name: names[index], ...one }))),
      ),
    files: fc.uniqueArray(fc.record({ name, inline: text }), { selector: (file) => file.name, maxLength: 3 }),
    timeout: fc.integer({ min: 10, max: 1e6 }).map((minutes) => `${minutes}m`),
    retries: fc.integer({ min: 0, max: 100 }),
  },
  { requiredKeys: ['vms'] },
);

describe('every module', () => {
  it('survives JSON, and means the same as YAML and as JSON text', () => {
    fc.assert(
      fc.property(body, (one) => {
        const document = { name: 'm', ...one };
        const module = compileText(stringify(document));
        expect(JSON.parse(JSON.stringify(module))).toEqual(module);
        expect(compileText(JSON.stringify(document))).toEqual({ ...module, places: expect.anything() });
      }),
      { numRuns: 200 },
    );
  });

  it('in examples/modules is without problems, and executable', () => {
    const directory = new URL('../../../examples/modules/', import.meta.url);
    const files = readdirSync(directory).map((path) => ({
      path,
      text: readFileSync(new URL(path, directory), 'utf8'),
    }));
    const { modules, problems } = parseModules(files, { strict: true });
    expect(problems).toEqual([]);
    expect(modules.map((module) => [module.name, module.notYetSupported])).toEqual(
      ['firewall-lab', 'netinst', 'pair', 'stack-base', 'stack-web', 'stack-db'].map((example) => [example, []]),
    );
  });

  it('in examples/recipes is without problems, and executable', () => {
    const directory = new URL('../../../examples/recipes/', import.meta.url);
    for (const path of readdirSync(directory)) {
      const { modules, problems } = parseModules([{ path, text: readFileSync(new URL(path, directory), 'utf8') }]);
      expect(problems).toEqual([]);
      expect(modules.map((module) => module.notYetSupported)).toEqual([[]]);
    }
  });

  it('that is hostile ends in problems, never in an exception', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[index]}`).join()}]`).join('\n')}\n`;
    for (const hostile of [
      bomb,
      '['.repeat(50_000),
      '&a [*a]',
      'vms: &v [*v]',
      '__proto__: { x: 1 }\nname: m',
      '? {a: b}\n: c',
      '\0',
    ]) {
      expect(parseModules([{ path: 'h.yaml', text: hostile }]).problems.length).toBeGreaterThan(0);
    }
  });
});

describe('parseModules', () => {
  it('names every problem of all files at once, in the order of the files and places', () => {
    const files = [
      { path: 'b.yaml', text: 'name: m\nretries: -1\ntimeot: 1h\nvms: [{ name: a }]\n' },
      { path: 'a.yaml', text: 'name: [\n' },
    ];
    const found = parseModules(files).problems.map(({ file, line, code }) => `${file}:${line} ${code}`);
    expect(found.slice(0, 3)).toEqual(['b.yaml:2 InvalidValue', 'b.yaml:3 UnknownKey', 'b.yaml:4 MissingField']);
    expect(found.slice(3)).toContain('a.yaml:2 Syntax');
  });

  it('makes errors of boot command warnings when strict', () => {
    const files = [{ path: 'm.yaml', text: bareVm('bootCommand: ["<foo>"]') }];
    expect(parseModules(files, { strict: true })).toMatchObject({ modules: [], problems: [{ severity: 'error' }] });
  });

  it('refuses values for variables that are not declared', () => {
    const { problems } = parseModules([{ path: 'm.yaml', text: top('variables: { size: 1h }') }], {
      variables: { siez: '2h' },
    });
    expect(problems).toMatchObject([
      { file: '--var', code: 'UnknownVariable', message: expect.stringContaining('"size"') },
    ]);
  });
});
