import { access } from 'node:fs/promises';
import { runCommand } from '../host/run-command.ts';

/** Where `ip netns` keeps its names. */
const NAMESPACES = '/run/netns';

/** The file that stands for a network namespace. */
export function namespacePath(name: string): string {
  return `${NAMESPACES}/${name}`;
}

export async function hasNamespace(name: string): Promise<boolean> {
  return await access(namespacePath(name)).then(
    () => true,
    () => false,
  );
}

/** A command of the host, word by word. */
export type HostCommand = readonly string[];

/** An `ip` command, in a namespace or (undefined) the host's own. */
export function ip(namespace: string | undefined, command: string): HostCommand {
  return ['ip', ...(namespace === undefined ? [] : ['-n', namespace]), ...command.split(' ')];
}

/** Writes a file below `/proc/sys` as a namespace sees it. */
export function setting(namespace: string, name: string, value: number | string): HostCommand {
  return inNamespace(namespace, ['sh', '-c', `echo ${value} > /proc/sys/${name}`]);
}

/** A command inside a network namespace. */
export function inNamespace(namespace: string, command: HostCommand): HostCommand {
  return ['nsenter', `--net=${namespacePath(namespace)}`, ...command];
}

/**
 * Runs commands in order and stops at the first fault; none when `unless` succeeds. One shell runs them all: for this
 * process, which is large, to start another one takes many times as long as it takes a shell.
 */
export async function runSteps(
  steps: readonly HostCommand[],
  { unless }: { readonly unless?: HostCommand } = {},
): Promise<void> {
  if (steps.length === 0) return;
  const line = (step: HostCommand) => step.map(quote).join(' ');
  const check = unless === undefined ? [] : [`! ${line(unless)} >/dev/null 2>&1 || exit 0`];
  await runCommand('sh', ['-ec', [...check, ...steps.map(line)].join('\n')]);
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** A network interface as `ip -j addr` prints it. */
export interface Interface {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

/** The interfaces of a namespace, or of the host. */
export async function interfacesOf(namespace?: string): Promise<readonly Interface[]> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  return JSON.parse((await runCommand('ip', [...where, '-j', 'addr', 'show'])) || '[]') as Interface[];
}

/** Runs a command inside a network namespace. */
export async function runInNamespace(namespace: string, command: HostCommand, input = ''): Promise<string> {
  const [program = '', ...args] = inNamespace(namespace, command);
  return await runCommand(program, args, { input });
}

/** Removes interfaces by name; one that is gone already does not matter. */
export async function removeInterfaces(namespace: string | undefined, names: readonly string[]): Promise<void> {
  if (namespace !== undefined && !(await hasNamespace(namespace))) return;
  const present = new Set((await interfacesOf(namespace)).map(({ ifname }) => ifname));
  const found = names.filter((name) => present.has(name));
  try {
    await runSteps(found.map((name) => ip(namespace, `link del ${name}`)));
  } catch (error) {
    // The kernel takes a pair's other end away some time after a namespace has gone: perhaps just now. Those behind it are still there.
    const left = new Set((await interfacesOf(namespace)).map(({ ifname }) => ifname));
    const rest = found.filter((name) => left.has(name));
    if (rest.length === found.length) throw error;
    await removeInterfaces(namespace, rest);
  }
}
