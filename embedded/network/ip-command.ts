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

/** Runs several `ip` commands in one process, in a namespace or (undefined) the host's own. Stops at the first fault. */
export async function ipBatch(namespace: string | undefined, commands: readonly string[]): Promise<void> {
  if (commands.length === 0) return;
  const where = namespace === undefined ? [] : ['-n', namespace];
  await runCommand('ip', [...where, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}

/** A network interface as `ip -j addr` tells it. */
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
export async function runInNamespace(namespace: string, command: readonly string[], input = ''): Promise<string> {
  return await runCommand('nsenter', [`--net=${namespacePath(namespace)}`, ...command], { input });
}

/** Removes interfaces by name; one that is gone already does not matter. */
export async function removeInterfaces(namespace: string | undefined, names: readonly string[]): Promise<void> {
  if (namespace !== undefined && !(await hasNamespace(namespace))) return;
  for (const name of names) {
    try {
      await ipBatch(namespace, [`link del ${name}`]);
    } catch (error) {
      // The kernel takes a pair's other end away some time after a namespace has gone: perhaps just now.
      if (await hasInterface(namespace, name)) throw error;
    }
  }
}

async function hasInterface(namespace: string | undefined, name: string): Promise<boolean> {
  return (await interfacesOf(namespace)).some(({ ifname }) => ifname === name);
}
