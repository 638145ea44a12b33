import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CompiledModule, CompiledVm } from '../../common/contracts/module/compiled.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { buildRef, compiledModule } from '../../test/harness/module-factory.ts';
import { expandGraph, type GraphOptions } from './expand.ts';
import { EMPTY_CATALOG, offlineFacts } from './facts.ts';
import { graphProblems } from './graph-problems.ts';

function refusal(modules: readonly CompiledModule[], options: GraphOptions = {}): FarmError {
  try {
    expandGraph({ modules, options, facts: offlineFacts(modules), catalog: EMPTY_CATALOG, fingerprint: String });
  } catch (error) {
    if (error instanceof FarmError) return error;
    throw error;
  }
  throw new Error('The graph was planned.');
}

function on(name: string, ...parents: string[]): CompiledModule {
  return compiledModule({ name, vms: parents.map((parent, v) => ({ name: `v${v}`, source: buildRef(parent, 'v0') })) });
}

describe('a cycle', () => {
  test('is named as a path that closes, at the place of its first module', () => {
    const [a, b, c] = [on('a', 'c'), on('b', 'a'), on('c', 'b')];
    const error = refusal([a, b, c]);
    expect(error.code).toBe('GraphCycle');
    expect(error.details['problems']).toEqual([
      {
        ...a.origin,
        severity: 'error',
        code: 'GraphCycle',
        message: 'Module "a": the modules start from each other: a -> c -> b -> a',
      },
    ]);
  });

  test('is found in any cyclic graph, and every step of its path is a reference', () => {
    const cyclic = fc.integer({ min: 1, max: 12 }).chain((size) =>
      fc.record({
        ring: fc.integer({ min: 1, max: size }),
        extra: fc.array(fc.array(fc.nat(size - 1), { maxLength: 2 }), { minLength: size, maxLength: size }),
      }),
    );
    fc.assert(
      fc.property(cyclic, ({ ring, extra }) => {
        const modules = extra.map((parents, n) => {
          const names = [...(n < ring ? [(n + 1) % ring] : []), ...parents];
          return names.length > 0
            ? on(`m${n}`, ...names.map((parent) => `m${parent}`))
            : compiledModule({ name: `m${n}`, vms: [{ name: 'v0' }] });
        });
        const cycles = graphProblems(modules).filter((problem) => problem.code === 'GraphCycle');
        expect(cycles.length).toBeGreaterThan(0);
        for (const { message } of cycles) {
          const path = message.split(': ').at(-1)?.split(' -> ') ?? [];
          expect(path.length).toBeGreaterThan(1);
          expect(path[0]).toBe(path.at(-1));
          path.slice(1).forEach((parent, index) => {
            const child = modules.find((module) => module.name === path[index]);
            expect(child?.vms.some(({ source }) => source.kind === 'buildRef' && source.module === parent)).toBe(true);
          });
        }
      }),
    );
  });
});

const efi: CompiledVm['firmware'] = { kind: 'efi', secureBoot: false, tpm: false };
const disk = (name: string, sizeBytes: number) => ({ name, sizeBytes, bus: 'virtio', storageClass: null }) as const;

describe('problems between modules', () => {
  test('are all reported at once, each at its module', () => {
    const base = compiledModule({
      name: 'base',
      origin: { file: 'base.yaml', line: 3, column: 1 },
      vms: [{ name: 'v0' }, { name: 'v1', firmware: efi }],
    });
    const modules = [
      base,
      compiledModule({ name: 'base' }),
      compiledModule({ name: 'a', vms: [{ source: buildRef('bsae') }] }),
      compiledModule({ name: 'b', vms: [{ source: buildRef('base') }] }),
      compiledModule({ name: 'c', vms: [{ source: buildRef('base', 'v2') }] }),
      compiledModule({ name: 'd', vms: [{ source: buildRef('base', 'v1') }] }),
      compiledModule({ name: 'e', vms: [{ source: buildRef('base', 'v0'), disks: [disk('disk', 2 ** 30)] }] }),
      on('f', 'f'),
    ];
    const error = refusal(modules);
    const problems = error.details['problems'] as ReturnType<typeof graphProblems>;
    expect(problems.map(({ code, line }) => [code, modules.find(({ origin }) => origin.line === line)?.name])).toEqual([
      ['DuplicateModule', 'base'],
      ['UnknownModule', 'a'],
      ['UnknownVm', 'b'],
      ['UnknownVm', 'c'],
      ['GraphCycle', 'f'],
      ['FirmwareMismatch', 'd'],
      ['DiskTooSmall', 'e'],
    ]);
    expect(problems.map(({ message }) => message)).toMatchInlineSnapshot(`
      [
        "Module "base": the name is taken by the module at base.yaml:3",
        "Module "a": VM "main" starts from module "bsae", which is not among the modules given and was never built; did you mean "base"?",
        "Module "b": VM "main" starts from "base", which has several VMs: name one of v0, v1 in buildRef.vmName",
        "Module "c": VM "main" starts from VM "v2" of "base", which has no such VM; did you mean "v0"?",
        "Module "f": the modules start from each other: f -> f",
        "Module "d": VM "main" has bios firmware, but the disks of "v1" boot by efi: give it efiFirmware too",
        "Module "e": disk "disk" of VM "main" is smaller (1Gi) than its parent's (20Gi)",
      ]
    `);
  });

  test('each is at the line of the part that is wrong', () => {
    const text = `name: base
vms: [{ name: a, source: { blank: true } }, { name: b, source: { blank: true }, efiFirmware: {} }]
---
name: child
vms:
  - name: unknown
    source:
      buildRef:
        name: bsae
  - name: tagged
    source:
      buildRef: { tag: x, name: base }
  - name: bios
    source: { buildRef: { name: base, vmName: b } }
`;
    const { modules, problems } = parseModules([{ path: 'lab.yaml', text }]);
    expect(problems).toEqual([]);
    const found = graphProblems(modules).map(({ line, column, code }) => `${line}:${column} ${code}`);
    expect(found.sort()).toMatchInlineSnapshot(`
      [
        "12:33 UnknownModule",
        "13:5 FirmwareMismatch",
        "9:15 UnknownModule",
      ]
    `);
  });

  test('a parent that is not among the files is a warning where no farm is asked', () => {
    const problems = graphProblems([on('web', 'base'), on('app', 'web')]);
    expect(problems.map(({ severity, code }) => [severity, code])).toEqual([['warning', 'UnknownModule']]);
  });

  test('a module that fits on no cluster is refused with what each cluster lacks', () => {
    const limits = { imports: 1, vms: 1, cpu: 16, memoryBytes: 2 ** 30 };
    const pair = compiledModule({ name: 'pair', vms: [{ name: 'a' }, { name: 'b' }] });
    const error = refusal([pair], { limits: { small: limits, large: { ...limits, vms: 8 } } });
    expect(error.code).toBe('ExceedsLimits');
    expect(error.message).toMatchInlineSnapshot(
      `"Module "pair": it fits on no cluster: "small" is too small for 2 VMs (limit 1) and 8Gi of memory (limit 1Gi); "large" is too small for 8Gi of memory (limit 1Gi)"`,
    );
    const roomy = { small: limits, large: { ...limits, vms: 2, memoryBytes: 2 ** 33 } };
    expect(() => refusal([pair], { limits: roomy })).toThrow('The graph was planned.');
  });

  test('what the parser calls not yet supported is refused at its own position', () => {
    const field = {
      path: 'vms[0].efiFirmware.tpm',
      message: 'TPMs are not supported yet',
      file: 'a.yaml',
      line: 7,
      column: 3,
    };
    const module = compiledModule({ notYetSupported: [field] });
    expect(refusal([module]).details['problems']).toMatchObject([{ code: 'NotYetSupported', line: 7, column: 3 }]);
  });

  test('a module to rebuild must be there', () => {
    const error = refusal([compiledModule({ name: 'base' })], { rebuild: ['bse'] });
    expect([error.code, error.message]).toEqual([
      'InvalidRequest',
      'Module "bse" to rebuild not found; did you mean "base"?',
    ]);
  });

  test('names that every object inherits are names like any other', () => {
    const module = on('web', 'constructor');
    expect(graphProblems([module]).map(({ code }) => code)).toEqual(['UnknownModule']);
  });
});
