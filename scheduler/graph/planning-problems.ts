import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { placeOf } from '../../common/contracts/module/places.ts';
import { listProblems } from '../../common/contracts/module/problem-list.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { ERRORS, type ErrorCode } from '../../common/errors/error-table.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Kind of a planning problem; stable, for programs. */
export type PlanningCode =
  | 'DuplicateModule'
  | 'GraphCycle'
  | 'UnknownModule'
  | 'UnknownVm'
  | 'FirmwareMismatch'
  | 'DiskTooSmall'
  | 'NotBootable'
  | 'DuplicateAddress'
  | 'AddressOutsideSubnet'
  | 'AddressTaken'
  | 'SubnetFull'
  | 'NoManagedNic'
  | 'ExceedsLimits'
  | 'NetworkNotOffered'
  | 'NoSuchLabels'
  | 'ClusterClosed'
  | 'StorageFull'
  | 'ClusterUnfit'
  | 'ClusterUnavailable'
  | 'LocalFilesOff'
  | 'SourceUnreachable'
  | 'ClustersDiffer'
  | 'InvalidModule'
  /** A warning: the layerKey will be another one when the farm has resolved the source in the message. */
  | 'Provisional';

/** A problem that has no position yet, from a part that knows only one module. */
export interface UnplacedProblem {
  readonly code: PlanningCode;
  /** A sentence without the module's name. */
  readonly message: string;
  /** The part of the module that it is about, by `partPath`; the module itself by default. */
  readonly part?: string;
}

/** A problem at the place of the part of the module; the message names the module. */
export function problemOf(
  module: Pick<CompiledModule, 'name' | 'origin' | 'places'>,
  { code, message, part = '' }: UnplacedProblem,
  severity: Problem['severity'] = 'error',
): Problem {
  return { ...placeOf(module, part), severity, code, message: `Module "${module.name}": ${message}` };
}

/** The error that ends planning: the code of the first problem that has one of its own, all of them in `details`. */
export function planningError(problems: readonly Problem[], cause?: unknown): FarmError {
  const errors = problems.filter((problem) => problem.severity === 'error');
  const code = errors.map((problem) => problem.code).find((name): name is ErrorCode => name in ERRORS);
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return new FarmError(code ?? 'InvalidModule', `${first?.message ?? 'The modules cannot be planned.'}${more}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { problems: listProblems(problems) },
  });
}
