import { readFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { PhaseFailure } from '../phases/phase-executor.ts';
import type { ExecResult, GuestConnection } from './guest-connection.ts';

/** The program that runs in the guest; its header says what each operation does. */
const SUPERVISOR = readFileSync(packagePath('workers/guest/supervisor.sh'), 'utf8');

/** How a step stands. `crashed`: the guest was booted anew under it. `died`: its runner was killed. `asked`: to reboot. */
export type StepState = 'prepared' | 'running' | 'exited' | 'timeout' | 'crashed' | 'died' | 'asked' | 'rebooted';

export interface StepStatus {
  readonly state: StepState;
  /** Exit code of the script, or of the command that asked for a reboot. */
  readonly exitCode: number | undefined;
  /** Since the script was started, on the guest's own clock. */
  readonly elapsedMs: number;
  /** How much of the log the farm has kept, in bytes. */
  readonly keptBytes: number;
}

export interface GuestStatus {
  readonly bootId: string;
  /** By index; a step that was never prepared is absent. */
  readonly steps: ReadonlyMap<number, StepStatus>;
}

/** A step's state directory in the guest. */
export type StepDirectory = string & { readonly brand?: 'StepDirectory' };

/** What a step runs. */
export interface StepProgram {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  /** Shell command with `{{ .Command }}`; null: the script itself. */
  readonly wrapper: string | null;
}

const STATUS_LINE = /^step (\d+) ([a-z]+) (\d+|-) (-?\d+) (\d+)$/;

/** The state of all steps of a build in the guest. */
export async function guestStatus(guest: GuestConnection, build: string): Promise<GuestStatus> {
  const lines = (await operate(guest, ['status', build])).split('\n');
  const steps = new Map<number, StepStatus>();
  for (const line of lines) {
    const [, index, state, code, seconds, kept] = STATUS_LINE.exec(line) ?? [];
    if (index === undefined) continue;
    steps.set(Number(index), {
      state: state as StepState,
      exitCode: code === '-' ? undefined : Number(code),
      elapsedMs: Number(seconds) * 1000,
      keptBytes: Number(kept),
    });
  }
  const bootId = lines.find((line) => line.startsWith('boot '))?.slice('boot '.length) ?? '';
  return { bootId, steps };
}

/** Makes the state directory of a step, or finds it. @throws PhaseFailure GuestDiskFull */
export async function prepareStep(guest: GuestConnection, build: string, index: number): Promise<StepDirectory> {
  const answer = await operate(guest, ['prepare', build, String(index)]);
  const directory = /^dir (.+)$/m.exec(answer)?.[1];
  assert(directory !== undefined && /^[\w./-]+$/.test(directory), 'The supervisor names the directory of a step.');
  await putFile(guest, `${directory.slice(0, directory.lastIndexOf('/'))}/supervisor.sh`, SUPERVISOR);
  return directory;
}

/** Stores a program, makes everything durable and starts it, detached; a second start does nothing. */
export async function startStep(guest: GuestConnection, directory: StepDirectory, program: StepProgram): Promise<void> {
  const env = Object.entries(program.env).map(([name, value]) => `export ${name}=${quote(value)}\n`);
  await putFile(guest, `${directory}/env.sh`, env.join(''));
  await putFile(guest, `${directory}/script`, program.script);
  await putFile(guest, `${directory}/command`, wrapped(directory, program.wrapper));
  const { exitCode, stderr } = await guest.exec(`sh ${supervisorOf(directory)} start ${directory}`);
  if (exitCode !== 0) throw new FarmError('ConnectionLost', `The step did not start in the guest: ${stderr.trim()}`);
}

/** The command line that follows a step's log from an offset until the step has ended; it reads offsets to remember. */
export function followCommand(directory: StepDirectory, offset: number): string {
  return `sh ${supervisorOf(directory)} follow ${directory} ${offset}`;
}

/** How a step ended, with the log from an offset on. */
export interface StepEnd {
  readonly state: StepState;
  readonly exitCode: number | undefined;
  readonly elapsedMs: number;
  /** The log was longer than what is kept. */
  readonly truncated: boolean;
  readonly rest: Buffer;
}

/** Reads how an ended step stands. */
export async function finishStep(guest: GuestConnection, directory: StepDirectory, offset: number): Promise<StepEnd> {
  const { channel, exited } = await guest.open(`sh ${supervisorOf(directory)} finish ${directory} ${offset}`);
  const chunks: Buffer[] = [];
  channel.on('data', (chunk: Buffer) => void chunks.push(chunk));
  channel.stderr.resume();
  channel.end();
  await exited;
  const answer = Buffer.concat(chunks);
  const end = answer.indexOf(10);
  const [state, code, seconds, truncated] = answer.subarray(0, end).toString().split(' ');
  return {
    state: state as StepState,
    exitCode: code === '-' ? undefined : Number(code),
    elapsedMs: Number(seconds) * 1000,
    truncated: truncated === 'yes',
    rest: answer.subarray(end + 1),
  };
}

/** Remembers in the guest how much of the log is stored. Lost, the last lines are stored twice. */
export async function keepOffset(guest: GuestConnection, directory: StepDirectory, offset: number): Promise<void> {
  await guest.exec(`echo ${offset} >${directory}/acked`);
}

/** Ends a step whose time is over: its whole process group, first by TERM, then by KILL. */
export async function stopStep(guest: GuestConnection, directory: StepDirectory): Promise<void> {
  await guest.exec(`sh ${supervisorOf(directory)} stop ${directory}`);
}

/** Records that a step without a process is done. */
export async function markStep(guest: GuestConnection, directory: StepDirectory, exitCode: number): Promise<void> {
  await check(await guest.exec(`sh ${supervisorOf(directory)} mark ${directory} ${exitCode}`));
}

/** Records the boot id, then asks the guest to reboot. Resolves with the code of the command if it came back. */
export async function askReboot(
  guest: GuestConnection,
  directory: StepDirectory,
  command: string,
): Promise<ExecResult> {
  await putFile(guest, `${directory}/command`, `${command}\n`);
  return guest.exec(`sh ${supervisorOf(directory)} reboot ${directory}`);
}

/** Removes all state of a build from the guest, so that no image carries it. */
export async function removeSupervisorState(guest: GuestConnection, build: string): Promise<void> {
  await operate(guest, ['remove', build]);
}

/** Writes a small file whole or not at all, byte for byte. @throws PhaseFailure GuestDiskFull */
export async function putFile(guest: GuestConnection, path: string, content: string | Buffer): Promise<void> {
  const target = quote(path);
  await check(await guest.exec(`umask 077; cat >${target}.new && mv ${target}.new ${target}`, { input: content }));
}

/** A word of a Bourne shell's command line. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** By standard input, so that the login shell of the user does not matter. */
async function operate(guest: GuestConnection, words: readonly string[]): Promise<string> {
  return check(await guest.exec(`sh -s -- ${words.join(' ')}`, { input: SUPERVISOR }));
}

async function check({ exitCode, stdout, stderr }: ExecResult): Promise<string> {
  if (exitCode === 0) return stdout;
  const said = stderr.trim();
  if (/no space left|quota exceeded/i.test(said)) throw new PhaseFailure('GuestDiskFull', `The guest says: ${said}`);
  throw new PhaseFailure('StepFailed', `The guest refused to keep the state of a step: ${said || `code ${exitCode}`}`);
}

function wrapped(directory: StepDirectory, wrapper: string | null): string {
  if (wrapper === null) return '';
  const command = `sh ${supervisorOf(directory)} script ${directory}`;
  return `${wrapper.replaceAll(/\{\{\s*\.Command\s*\}\}/g, () => command)}\n`;
}

function supervisorOf(directory: StepDirectory): string {
  return `${directory.slice(0, directory.lastIndexOf('/'))}/supervisor.sh`;
}
