import type { z } from 'zod';
import type { ObjectKeyRef } from './contents.ts';
import type { Cursor } from './cursor.ts';
import type { FieldRules } from './key-rule.ts';
import type { LocalFinder } from './local-content.ts';
import type { Report } from './rule.ts';

/** Fields of every step. */
export interface StepBase {
  readonly type: string;
  readonly name: string | null;
  /** Null: bounded by the module's timeout only. */
  readonly timeoutMs: number | null;
}

/** The fields of a step that its type has of its own. */
type OwnFields<S extends StepBase> = Omit<S, 'type' | 'name' | 'timeoutMs'>;

/** Context of the compilation of a step. */
export interface StepSurroundings {
  readonly shell: 'bash' | 'powershell';
  /** Local files beside its module file. */
  readonly local: LocalFinder;
}

/** Everything that the farm knows of a type of step, but for what workers do (`run-step.ts`). */
export interface StepType<
  S extends StepBase = StepBase,
  Key extends string = string,
  Schema extends z.ZodType = z.ZodType,
  Lacking extends true | undefined = true | undefined,
> {
  /** Of its settings in the file. */
  readonly key: Key;
  readonly settings: Schema;
  /** Whether the settings must be there. */
  readonly isNeeded: boolean;
  /** Raise it when steps of this type have another effect than before: the layers with such steps are rebuilt. */
  readonly version: number;
  /** No worker runs it: a submission is refused. */
  readonly notYetSupported?: Lacking;
  /** Rules for the settings that a schema cannot express. */
  check?(settings: Cursor, report: Report): void;
  compile(settings: z.output<Schema> | undefined, surroundings: StepSurroundings): OwnFields<S>;
  /** How its fields enter layer keys. */
  readonly layerKey: FieldRules<OwnFields<S>>['fields'];
  /** The key of a ConfigMap or Secret that it needs. */
  objectKey?(step: S): ObjectKeyRef | null;
}

/** A row with the types of its fields: `stepType<MyStep>()({ … })`. */
export function stepType<S extends StepBase>() {
  return <const Key extends string, Schema extends z.ZodType, const Lacking extends true | undefined = undefined>(
    type: StepType<S, Key, Schema, Lacking>,
  ) => type;
}
