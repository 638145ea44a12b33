import { expect } from 'vitest';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';

/** The only module of a file; fails where the file has an error. */
export function compileText(text: string, variables: Record<string, string> = {}): CompiledModule {
  const { modules, problems } = parseModules([{ path: 'm.yaml', text }], { variables });
  expect(problems.filter((problem) => problem.severity === 'error')).toEqual([]);
  const [module] = modules;
  if (!module) throw new Error('No module was compiled.');
  return module;
}
