import { localContent, objectKeyRef } from '../content-keys.ts';
import type { LocalContent, ObjectKeyRef } from '../contents.ts';
import { pattern, text } from '../leaves.ts';
import { compileObject, localPathField, objectSource } from '../references.ts';
import { reportUnlessOne } from '../rule.ts';
import { map } from '../shapes.ts';
import { type StepBase, stepType } from '../step-type.ts';

export interface FileStep extends StepBase {
  readonly type: 'file';
  /** Absolute path in the guest. */
  readonly destination: string;
  /** A name of `files`, or null when `source` or `local` is given. */
  readonly fileRef: string | null;
  readonly source: ObjectKeyRef | null;
  readonly local: LocalContent | null;
}

export const file = stepType<FileStep>()({
  key: 'file',
  settings: map('Puts a file, or a folder with everything in it, into the guest.', {
    destination: pattern(
      'Absolute path in the guest; for a folder, the path that receives its content.',
      /^(\/|[A-Za-z]:[\\/])/,
      'an absolute path, in which neither ~ nor variables of the guest are filled: write one such as /etc/app.conf',
    ),
    fileRef: text('A file of the registry.').optional(),
    path: localPathField('A file or folder').optional(),
    source: objectSource('A file in a ConfigMap or Secret of the cluster.').optional(),
  }),
  isNeeded: true,
  version: 1,
  check: (settings, report) => {
    reportUnlessOne(settings, ['fileRef', 'path', 'source'], report);
    reportUnlessOne(settings.at('source'), ['configMapRef', 'secretRef'], report);
  },
  compile: (settings, { local }) => ({
    destination: settings?.destination ?? '',
    fileRef: settings?.fileRef ?? null,
    source: settings?.source ? compileObject(settings.source) : null,
    local: settings?.path === undefined ? null : local.content(settings.path),
  }),
  layerKey: { destination: 'in', fileRef: 'in', source: objectKeyRef, local: localContent },
  objectKey: ({ source }) => source,
});
