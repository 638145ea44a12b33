import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { surveyGraph } from './expand.ts';
import { EMPTY_CATALOG, offlineFacts } from './facts.ts';

/** Already reported by the parser, or relevant to plans only. */
const NOT_HERE = new Set(['NotYetSupported', 'Provisional']);

/**
 * Problems of modules in combination: cycles, unknown VMs of parents, disks smaller than their parents', clashing
 * addresses. A parent that is not among the modules is a warning, because the farm may have it.
 */
export function graphProblems(modules: readonly CompiledModule[]): Problem[] {
  const { problems } = surveyGraph({
    modules,
    facts: offlineFacts(modules),
    catalog: EMPTY_CATALOG,
    fingerprint: () => '',
    options: { unknownParents: 'warning' },
  });
  return problems.filter((problem) => !NOT_HERE.has(problem.code));
}
