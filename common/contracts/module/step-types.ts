import type { z } from 'zod';
import type { ObjectKeyRef } from './contents.ts';
import type { StepType } from './step-type.ts';
import { type FileStep, file } from './steps/file.ts';
import { type HandbuildStep, handbuild } from './steps/handbuild.ts';
import { type RebootStep, reboot } from './steps/reboot.ts';
import { type ShellStep, shell } from './steps/shell.ts';
import { type WindowsUpdateStep, windowsUpdate } from './steps/windows-update.ts';

/** A compiled step of any type. */
export type Step = ShellStep | FileStep | RebootStep | WindowsUpdateStep | HandbuildStep;
export type StepTypeName = Step['type'];
export type StepOf<T extends StepTypeName> = Extract<Step, { type: T }>;

/** The registry of the types of steps; a type of `Step` without a row does not compile. */
export const STEP_TYPES = {
  shell,
  file,
  reboot,
  'windows-update': windowsUpdate,
  handbuild,
} as const satisfies Record<StepTypeName, unknown>;

export const STEP_TYPE_NAMES = Object.keys(STEP_TYPES) as [StepTypeName, ...StepTypeName[]];

type Registry = typeof STEP_TYPES;

/** The settings of all types, as a step in a file may have them. */
export const STEP_SETTINGS = Object.fromEntries(
  Object.values<StepType>(STEP_TYPES).map(({ key, settings }) => [key, settings.optional()]),
) as { [T in StepTypeName as Registry[T]['key']]: z.ZodOptional<Registry[T]['settings']> };

/** Types whose steps workers run. */
export type SupportedStepType = {
  [T in StepTypeName]: Registry[T]['notYetSupported'] extends undefined ? T : never;
}[StepTypeName];

export function isSupported(type: StepTypeName): type is SupportedStepType {
  return !(STEP_TYPES[type] as StepType).notYetSupported;
}

export const SUPPORTED_STEP_TYPES = STEP_TYPE_NAMES.filter(isSupported);
export const UNSUPPORTED_STEP_TYPES = STEP_TYPE_NAMES.filter((type) => !isSupported(type));

/** The key of a ConfigMap or Secret that a step needs; null when it needs none. */
export function objectKeyOfStep(step: Step): ObjectKeyRef | null {
  return (STEP_TYPES[step.type] as StepType).objectKey?.(step) ?? null;
}
