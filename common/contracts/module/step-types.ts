import type { z } from 'zod';
import { templateNames } from '../boot-command/template.ts';
import type {
  FileStep,
  HandbuildStep,
  ObjectKeyRef,
  RebootStep,
  ShellStep,
  Step,
  WindowsUpdateStep,
} from './compiled.ts';
import { localContent, localFileFields, objectKeyRef } from './content-keys.ts';
import type { Cursor } from './cursor.ts';
import { DEFAULTS, REBOOT_COMMAND } from './defaults.ts';
import type { FieldRules } from './key-rule.ts';
import { leaf, pattern, text, wholeNumber } from './leaves.ts';
import type { LocalFinder } from './local-content.ts';
import type { Parsed } from './parsed.ts';
import { compileObject, localPathField, objectSource } from './references.ts';
import { type Report, reportUnlessOne } from './rule.ts';
import { dictionary, list, map } from './shapes.ts';

export type StepTypeName = Step['type'];
export type StepOf<T extends StepTypeName> = Extract<Step, { type: T }>;

/** The fields of a step that its type has of its own. */
type OwnFields<S extends Step> = Omit<S, 'type' | 'name' | 'timeoutMs'>;

/** Context of the compilation of a step. */
export interface StepSurroundings {
  readonly shell: 'bash' | 'powershell';
  /** Local files beside its module file. */
  readonly local: LocalFinder;
}

/** Everything that the farm knows of a type of step, but for what workers do (`run-step.ts`). */
export interface StepType<
  S extends Step = Step,
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

function stepType<S extends Step>() {
  return <const Key extends string, Schema extends z.ZodType, const Lacking extends true | undefined = undefined>(
    type: StepType<S, Key, Schema, Lacking>,
  ) => type;
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

const shell = stepType<ShellStep>()({
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

const file = stepType<FileStep>()({
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

const reboot = stepType<RebootStep>()({
  key: 'reboot',
  settings: map('Restarts the guest and waits until it answers again.', {
    command: text(
      'Default: `sudo reboot` (`reboot` without sudo), or `shutdown /r /f /t 0` with powershell.',
    ).optional(),
  }),
  isNeeded: false,
  version: 1,
  compile: (settings, surroundings) => ({ command: settings?.command ?? REBOOT_COMMAND[surroundings.shell] }),
  layerKey: { command: 'in' },
});

const windowsUpdate = stepType<WindowsUpdateStep>()({
  key: 'windowsUpdate',
  settings: map('Installs updates and restarts until none is left.', {
    searchCriteria: text('Which updates.', { default: 'BrowseOnly=0 and IsInstalled=0' }).optional(),
    filters: list(
      'The first that matches decides.',
      pattern(
        'include: or exclude: and a PowerShell expression.',
        /^(include|exclude):/,
        'a filter: begin with "include:" or "exclude:"',
      ),
    ).optional(),
    updateLimit: wholeNumber('Updates in one round.', { min: 1, max: 100_000, whenMissing: 1000 }).optional(),
  }),
  isNeeded: false,
  version: 1,
  notYetSupported: true,
  compile: (settings) => ({
    searchCriteria: settings?.searchCriteria ?? DEFAULTS.windowsUpdate.searchCriteria,
    filters: settings?.filters ?? [],
    updateLimit: settings?.updateLimit ?? DEFAULTS.windowsUpdate.updateLimit,
  }),
  layerKey: { searchCriteria: 'in', filters: 'in', updateLimit: 'in' },
});

const handbuild = stepType<HandbuildStep>()({
  key: 'handbuild',
  settings: map('Waits until a person has worked at the console and continues the build; all timeouts keep running.', {
    instructions: text('Instructions for the person.'),
  }),
  isNeeded: true,
  version: 1,
  compile: (settings) => ({ instructions: settings?.instructions ?? '' }),
  layerKey: { instructions: 'in' },
});

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
