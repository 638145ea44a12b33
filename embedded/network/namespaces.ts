import { readdir } from 'node:fs/promises';
import { KeyedMutex } from '../host/keyed-mutex.ts';
import { type HostLayout, shortHash } from '../host/layout.ts';
import { runCommand } from '../host/run-command.ts';
import { type HostCommand, hasNamespace, ip, namespacePath, runSteps, setting } from './ip-command.ts';

const mutex = new KeyedMutex();

/** The namespace of a VPC. */
export function vpcNamespace(layout: HostLayout, vpc: string): string {
  return `${layout.prefix}v${shortHash(vpc, 10)}`;
}

/** The namespace of a pod. */
export function podNamespace(layout: HostLayout, podUid: string): string {
  return `${layout.prefix}p${shortHash(podUid, 10)}`;
}

/** Makes a network namespace with its loopback up, unless it is there. A VPC routes between its subnets. */
export async function ensureNamespace(name: string, options: { readonly isRouter: boolean }): Promise<void> {
  await mutex.run(name, async () => {
    if (await hasNamespace(name)) return;
    await runSteps([ip(undefined, `netns add ${name}`), ...namespaceSettings(name, options)]).catch(
      async (error: unknown) => {
        // Half made would look like made.
        await removeNamespace(name);
        throw error;
      },
    );
  });
}

function namespaceSettings(name: string, { isRouter }: { readonly isRouter: boolean }): HostCommand[] {
  return [
    ip(name, 'link set lo up'),
    setting(name, 'net/ipv6/conf/default/disable_ipv6', 1),
    ...(isRouter ? [setting(name, 'net/ipv4/ip_forward', 1)] : []),
  ];
}

/** Removes a namespace with all that is in it. */
export async function removeNamespace(name: string): Promise<void> {
  if (await hasNamespace(name)) await runCommand('ip', ['netns', 'del', name]);
}

/** All namespaces of this cluster. */
export async function listNamespaces(layout: HostLayout): Promise<string[]> {
  const names = await readdir(namespacePath('')).catch(() => []);
  return names.filter((name) => name.startsWith(layout.prefix));
}
