import fc from 'fast-check';
import type { FailureReason } from '../../common/contracts/failures.ts';
import type { BuiltModule } from '../../common/redis/write-submission.ts';
import { newId } from '../harness/farm-state.ts';
import { sampleModule } from '../harness/sample-spec.ts';

/** What may happen next; a number beside each chooses among the candidates of the moment. */
const HAPPENINGS = [
  'take',
  'takeAndDie',
  'claim',
  'succeed',
  'fail',
  'requeue',
  'crash',
  'zombie',
  'repeat',
  'halt',
  'sweep',
  'cancel',
  'submit',
  'control',
  'advance',
  'loseReply',
  'pass',
  'away',
  'back',
  'open',
] as const;
export type Happening = (typeof HAPPENINGS)[number];
/** Happens more often, so that layer build gets somewhere. */
const USUAL = ['take', 'claim', 'claim', 'succeed', 'succeed', 'halt', 'back', 'open'] as const;
/** So that one module uses up what it may cost. */
const TROUBLED = ['take', 'claim', 'claim', 'fail', 'fail', 'fail'] as const;
const REASONS = ['Fault', 'TypingInterrupted', 'StepFailed'] as const satisfies FailureReason[];

export interface Scenario {
  /** Per module: how many VMs, and which of the modules before it are its parents. */
  readonly modules: readonly { readonly vms: number; readonly parents: readonly number[] }[];
  /** What phases fail with. */
  readonly reasons: readonly FailureReason[];
  readonly happenings: readonly (readonly [Happening, number])[];
}

function scenariosOf(most: { readonly modules: number; readonly vms: number }, usual: readonly Happening[]) {
  const module = fc.record({
    vms: fc.integer({ min: 1, max: most.vms }),
    parents: fc.array(fc.nat(7), { maxLength: 3 }),
  });
  const happening = fc.tuple(fc.constantFrom(...HAPPENINGS, ...usual, ...usual, ...usual, ...usual), fc.nat(1000));
  return fc.record({
    modules: fc.array(module, { minLength: 1, maxLength: most.modules }),
    reasons: fc.array(fc.constantFrom(...REASONS), { minLength: 1, maxLength: 2 }),
    happenings: fc.array(happening, { minLength: 20, maxLength: 200, size: 'max' }),
  });
}

/** Graphs on which much happens, and single modules on which much fails. */
export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  scenariosOf({ modules: 6, vms: 3 }, USUAL),
  scenariosOf({ modules: 2, vms: 1 }, TROUBLED),
);

export function modulesOf(shape: Scenario['modules']): BuiltModule[] {
  const modules: BuiltModule[] = [];
  for (const [index, { vms, parents }] of shape.entries()) {
    const chosen = [...new Set(parents.filter((parent) => parent < index))].flatMap((parent) => modules[parent] ?? []);
    const sample = { name: `m${index}`, layerKey: `k${index}`, layerBuild: newId(), timeoutMs: 3_600_000 };
    modules.push(sampleModule({ ...sample, vms: ['a', 'b', 'c'].slice(0, vms), parents: chosen }));
  }
  return modules;
}
