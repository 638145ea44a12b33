import { templateNames } from '../../boot-command/template.ts';
import { localFileFields, objectKeyRef } from '../content-keys.ts';
import type { LocalFile, ObjectKeyRef } from '../contents.ts';
import type { Cursor } from '../cursor.ts';
import { leaf, text } from '../leaves.ts';
import type { Parsed } from '../parsed.ts';
import { compileObject, localPathField, objectSource } from '../references.ts';
import { type Report, reportUnlessOne } from '../rule.ts';
import { dictionary, map } from '../shapes.ts';
import { type StepBase, stepType } from '../step-type.ts';

export interface ShellStep extends StepBase {
  readonly type: 'shell';
  /** Empty when `scriptFile` or `scriptFrom` is given. */
  readonly script: string;
  readonly scriptFile: LocalFile | null;
  readonly scriptFrom: ObjectKeyRef | null;
  readonly env: Readonly<Record<string, string>>;
  /** Wraps the command; carries `{{ .Command }}`. */
  readonly executeCommand: string | null;
}

/** `inline` of a shell step: a script, or its lines. */
const scriptLeaf = leaf(
  {
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
    description: 'The script, or its lines.',
  },
  (written): Parsed<string> => {
    if (typeof written === 'string') return { value: written };
    if (Array.isArray(written) && written.every((line) => typeof line === 'string')) {
      return { value: written.map((line) => `${line}\n`).join('') };
    }
    const [index, other] = Array.isArray(written)
      ? ([...written.entries()].find(([, line]) => typeof line !== 'string') ?? [])
      : [undefined, written];
    const which = index === undefined ? '' : `: line ${index + 1} is none`;
    const hint = typeof other === 'object' ? 'a ": " makes a map of it, so put it in quotes' : 'put it in quotes';
    return {
      complaint: `must be a script as text, or a list of lines${which}; ${hint}, or write the script below a "|"`,
    };
  },
);

const ENVIRONMENT_NAMES = {
  names: /^[A-Za-z_][A-Za-z0-9_]*$/,
  meaning: 'use letters, digits and underscores, and begin with no digit',
};

export const shell = stepType<ShellStep>()({
  key: 'shell',
  settings: map('Runs a script.', {
    inline: scriptLeaf.optional(),
    script: localPathField('A file with the script').optional(),
    scriptFrom: objectSource('A script in a ConfigMap or Secret of the cluster.').optional(),
    env: dictionary('Environment of the script.', ENVIRONMENT_NAMES, text('A value.')).optional(),
    executeCommand: text('Wraps the command; {{ .Command }} stands for it.').optional(),
  }),
  isNeeded: true,
  version: 1,
  check: (settings, report) => {
    reportUnlessOne(settings, ['inline', 'script', 'scriptFrom'], report);
    reportUnlessOne(settings.at('scriptFrom'), ['configMapRef', 'secretRef'], report);
    checkExecuteCommand(settings.at('executeCommand'), report);
  },
  compile: (settings, { local }) => ({
    script: settings?.inline ?? '',
    scriptFile: settings?.script === undefined ? null : local.file(settings.script),
    scriptFrom: settings?.scriptFrom ? compileObject(settings.scriptFrom) : null,
    env: settings?.env ?? {},
    executeCommand: settings?.executeCommand ?? null,
  }),
  layerKey: {
    script: 'in',
    scriptFile: { fields: { ...localFileFields, mode: 'out' } },
    scriptFrom: objectKeyRef,
    env: 'in',
    executeCommand: 'in',
  },
  objectKey: ({ scriptFrom }) => scriptFrom,
});

function checkExecuteCommand(command: Cursor, report: Report): void {
  if (command.text === null) return;
  const names = templateNames(command.text).map(({ name }) => name);
  const other = names.find((name) => name !== 'Command');
  if (other !== undefined) {
    const hint = PACKER_VALUES.includes(other)
      ? 'the script and its environment are both in {{ .Command }}'
      : 'write {{ .Command }}';
    report(command, 'InvalidValue', `unknown template value "${other}"; ${hint}`);
  } else if (names.length === 0) {
    report(command, 'InvalidValue', 'must contain {{ .Command }} in place of the command');
  }
}

/** Template values of Packer's `execute_command`. */
const PACKER_VALUES = ['Path', 'Vars', 'EnvVarFile', 'Script'];
