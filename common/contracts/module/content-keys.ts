import type { LocalContent } from './contents.ts';
import type { VariantRules } from './key-rule.ts';

/* How contents that modules refer to enter layer keys. */

/** By its content. Whether it is optional does not matter: a missing value enters as missing. */
export const objectKeyRef = { fields: { kind: 'object', name: 'object', key: 'object', optional: 'out' } } as const;

/** Modes too: a file step applies them to its files. */
export const localFileFields = { kind: 'in', url: 'in', sizeBytes: 'out', mode: 'in' } as const;

export const localFolderFields = {
  kind: 'in',
  entries: { each: { fields: { path: 'in', file: { fields: localFileFields } } } },
} as const;

export const localContent: VariantRules<LocalContent> = {
  by: 'kind',
  variants: { file: { fields: localFileFields }, folder: { fields: localFolderFields } },
};
