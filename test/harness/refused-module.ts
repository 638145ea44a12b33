import { describe, expect, test } from 'vitest';
import { parseModules } from '../../common/contracts/module/parse.ts';
import type { ProblemCode } from '../../common/contracts/module/problem.ts';

/** `§` marks the place that the problem must name. */
export interface RefusalRow {
  readonly rule: string;
  readonly yaml: string;
  readonly code: ProblemCode;
  readonly part: string;
  readonly severity?: 'warning';
}

/** The source of a VM that needs nothing. */
export const VM = 'source: { blank: true }';

/** The bare form with one VM `a` and these further lines of it. */
export function vm(...lines: string[]): string {
  return ['name: m', 'vms:', '  - name: a', ...[VM, ...lines].map((line) => `    ${line}`), ''].join('\n');
}

/** The bare form with one VM `a` and these further top-level lines. */
export function top(...lines: string[]): string {
  return ['name: m', ...lines, 'vms:', '  - name: a', `    ${VM}`, ''].join('\n');
}

/** The bare form with one VM `a` of these lines alone. */
export function source(...lines: string[]): string {
  return ['name: m', 'vms:', '  - name: a', ...lines.map((line) => `    ${line}`), ''].join('\n');
}

/** The bare form with one step of these lines. */
export function step(...lines: string[]): string {
  return vm('provisioners:', ...lines.map((line, index) => (index === 0 ? `  - ${line}` : `    ${line}`)));
}

/** The bare form with one subnet, and these cards of its VM. */
export function lan(nics: string, subnet = 'cidr: 10.1.0.0/24'): string {
  return top('network:', '  vpcs: [{ name: v }]', `  subnets: [{ name: lan, vpc: v, ${subnet} }]`).replace(
    VM,
    `${VM}\n    nics: ${nics}`,
  );
}

/** A test for each row: the file has this one problem, at the mark. */
export function testRefusals(rows: readonly RefusalRow[]): void {
  describe('a file is refused, once and with its place, for', () => {
    test.each(rows)('$rule', ({ yaml, code, part, severity }) => {
      const { text, line, column } = placeOf(yaml);
      const { problems, modules } = parseModules([{ path: 'm.yaml', text }]);
      expect(problems).toEqual([
        { file: 'm.yaml', line, column, severity: severity ?? 'error', code, message: expect.stringContaining(part) },
      ]);
      const documents = text.split('---').length;
      expect(modules.length).toBe(severity === 'warning' ? documents : documents - 1);
    });
  });
}

function placeOf(marked: string): { text: string; line: number; column: number } {
  const before = marked.slice(0, marked.indexOf('§'));
  const lines = before.split('\n');
  return { text: marked.replace('§', ''), line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}
