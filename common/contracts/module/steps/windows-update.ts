import { pattern, text, wholeNumber } from '../leaves.ts';
import { list, map } from '../shapes.ts';
import { type StepBase, stepType } from '../step-type.ts';

export interface WindowsUpdateStep extends StepBase {
  readonly type: 'windows-update';
  readonly searchCriteria: string;
  readonly filters: readonly string[];
  readonly updateLimit: number;
}

const SEARCH_CRITERIA = 'BrowseOnly=0 and IsInstalled=0';
const UPDATE_LIMIT = 1000;

export const windowsUpdate = stepType<WindowsUpdateStep>()({
  key: 'windowsUpdate',
  settings: map('Installs updates and restarts until none is left.', {
    searchCriteria: text('Which updates.', { default: SEARCH_CRITERIA }).optional(),
    filters: list(
      'The first that matches decides.',
      pattern(
        'include: or exclude: and a PowerShell expression.',
        /^(include|exclude):/,
        'a filter: begin with "include:" or "exclude:"',
      ),
    ).optional(),
    updateLimit: wholeNumber('Updates in one round.', { min: 1, max: 100_000, whenMissing: UPDATE_LIMIT }).optional(),
  }),
  isNeeded: false,
  version: 1,
  notYetSupported: true,
  compile: (settings) => ({
    searchCriteria: settings?.searchCriteria ?? SEARCH_CRITERIA,
    filters: settings?.filters ?? [],
    updateLimit: settings?.updateLimit ?? UPDATE_LIMIT,
  }),
  layerKey: { searchCriteria: 'in', filters: 'in', updateLimit: 'in' },
});
