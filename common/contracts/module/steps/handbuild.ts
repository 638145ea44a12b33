import { text } from '../leaves.ts';
import { map } from '../shapes.ts';
import { type StepBase, stepType } from '../step-type.ts';

export interface HandbuildStep extends StepBase {
  readonly type: 'handbuild';
  readonly instructions: string;
}

export const handbuild = stepType<HandbuildStep>()({
  key: 'handbuild',
  settings: map('Waits until a person has worked at the console and continues the build; all timeouts keep running.', {
    instructions: text('Instructions for the person.'),
  }),
  isNeeded: true,
  version: 1,
  compile: (settings) => ({ instructions: settings?.instructions ?? '' }),
  layerKey: { instructions: 'in' },
});
