import type { ShellStep } from '../../../common/contracts/module/steps/shell.ts';
import { otherThanText, SCRIPT_REMEDY } from '../../../common/text/script-text.ts';
import { readPlannedObject } from '../../cluster/object-content.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { readLocalFile } from '../../files/local-files.ts';
import { GuestLog } from '../../guest/guest-log.ts';
import { type ProgramEnd, runProgram } from '../../guest/run-program.ts';
import { unixText } from '../../guest/shell-words.ts';
import type { StepProgram } from '../../guest/supervisor.ts';
import { fence, guestIndex, type StepContext, type StepOutcome, stepLabel, stepTimeout } from './step-context.ts';

const UNMARKED = '[The script begins with a byte order mark; it runs without it.]';
const CONVERTED = '[The script has Windows line endings (CRLF); it runs with Unix line endings.]';
/** Of the supervisor, which cannot write down that the script has ended. */
const READ_ONLY = /supervisor\.sh: .*Read-only file system/;

/**
 * Runs a script in the guest, exactly once.
 * @throws PhaseFailure StepFailed, StepTimeout, GuestRebooted or GuestDiskFull
 */
export async function runShellStep(context: StepContext<ShellStep>): Promise<StepOutcome> {
  const { phase, access, build, step, signal } = context;
  const { claim, store, clock, metrics, logLimits } = phase;
  const { vm, phase: phaseName } = claim.job;
  const where = { module: claim.spec.module.name, vm, phase: phaseName, source: 'step' };
  const program = await programOf(context);
  const script = unixText(program.script);
  const end = await runProgram({
    ...{ link: access.link, build, index: guestIndex(context), timeoutMs: step.timeoutMs, clock },
    program: { ...program, script },
    notes: changesOf(program.script, script),
    beforeStart: () => fence(context),
    onAdopted: () => metrics.adoptedScripts.inc(),
    openLog: (offset) => {
      const emit = (line: string) => store.emit(claim, { event: 'log', ...where, line });
      return new GuestLog({ emit, offset, limits: logLimits, mask: access.mask, clock, signal });
    },
  });
  if (end.state === 'exited' && end.exitCode === 0) return { exitCode: 0 };
  throw failure(context, end);
}

/** How the script that runs differs from the one that was given, for the log of the step. */
export function changesOf(given: string, run: string): readonly string[] {
  const unmarked = given.replace(/^\uFEFF/, '');
  return [...(unmarked === given ? [] : [UNMARKED]), ...(run === unmarked ? [] : [CONVERTED])];
}

async function programOf(context: StepContext<ShellStep>): Promise<StepProgram> {
  const { step, phase } = context;
  const { fill } = phase.secrets;
  const env = Object.entries(step.env).map(([name, value]) => [name, fill(value)]);
  const wrapper = step.executeCommand === null ? null : unixText(fill(step.executeCommand));
  return { script: await scriptOf(context), env: Object.fromEntries(env), wrapper };
}

async function scriptOf({ phase, step, signal }: StepContext<ShellStep>): Promise<string> {
  if (step.scriptFile) return scriptText(await readLocalFile({ ...phase, signal }, step.scriptFile));
  if (!step.scriptFrom) return phase.secrets.fill(step.script);
  const content = await readPlannedObject(phase, step.scriptFrom, signal);
  return content === null ? '' : scriptText(content);
}

/** @throws PhaseFailure StepFailed for content that would reach the shell with other bytes than it has */
export function scriptText(content: Uint8Array): string {
  const other = otherThanText(content);
  if (other === undefined) return Buffer.from(content).toString();
  throw new PhaseFailure('StepFailed', `The script is ${other}: ${SCRIPT_REMEDY}.`);
}

function failure(context: StepContext<ShellStep>, { state, exitCode, logTail }: ProgramEnd): PhaseFailure {
  const evidence = { logTail: [...logTail] };
  const label = stepLabel(context);
  switch (state) {
    case 'timeout':
      return stepTimeout(context, context.step.timeoutMs ?? 0, evidence);
    case 'crashed':
      return new PhaseFailure('GuestRebooted', `The guest rebooted while ${label} ran.`, { evidence });
    case 'died':
      return new PhaseFailure('StepFailed', `${label} ${howLost(logTail)}.`, { evidence });
    case 'exited':
      return new StepFailure(exitCode ?? null, `${label} ended with code ${exitCode}${sudoWants(logTail)}.`, {
        evidence,
      });
  }
}

/** Why the end of a script is not known, as the end of a sentence. */
export function howLost(logTail: readonly string[]): string {
  return READ_ONLY.test(logTail.join('\n'))
    ? 'left the file system of the guest read-only, so that the farm can neither record its end nor remove its own files: mount it read-write at the end of the script'
    : 'was killed in the guest together with its supervisor';
}

/** The messages of `sudo` and others when they refuse (`plugins/sudoers` and `src/tgetpass.c` of sudo), and their remedies. */
const REFUSALS: readonly (readonly [RegExp, string])[] = [
  [
    /^sudo: .*must have a tty/m,
    ': sudo wants a terminal, which steps do not have; remove "requiretty" from the sudoers',
  ],
  [
    /^sudo: .*(a password is required|a terminal is required|no tty present|no askpass program)/m,
    ': sudo asks for a password; allow the user NOPASSWD, or give it by executeCommand: "echo PASSWORD | sudo -S sh -c \'{{ .Command }}\'"',
  ],
  [
    /^sudo: \d+ incorrect password attempts?|^sudo: no password was provided/m,
    ': sudo did not accept the password that it was given',
  ],
  [
    /is not in the sudoers file|is not allowed to (execute|run)|may not run sudo/,
    ': the user may not use sudo; add it to the sudoers, or to a group such as sudo or wheel',
  ],
  [
    /password (has |is )?expired|password change required|(must|required to) change your password/i,
    ': the password of the account has expired',
  ],
];

/** Cause of a `sudo` failure, as the end of a sentence: a step has neither a terminal nor a person who types a password. */
export function sudoWants(logTail: readonly string[]): string {
  const output = logTail.join('\n');
  return REFUSALS.find(([pattern]) => pattern.test(output))?.[1] ?? '';
}

/** A script that ended with another code than 0. */
export class StepFailure extends PhaseFailure {
  readonly exitCode: number | null;

  constructor(exitCode: number | null, message: string, options: ConstructorParameters<typeof PhaseFailure>[2]) {
    super('StepFailed', message, options);
    this.exitCode = exitCode;
  }
}
