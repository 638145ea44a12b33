import type { SshAccess } from '../../common/contracts/ssh-access.ts';

/** Further parts of an ssh configuration besides the machine. */
export interface SshFile {
  /** Command line for a shell. */
  readonly proxy: string;
  /** Null: the person's own keys are tried. */
  readonly keyFile: string | null;
}

/**
 * Options of OpenSSH for a machine behind the farm. The farm decides which machine it is and authenticates itself, so the
 * guest's host key, which another build of the same name would not have, is not kept.
 */
export function sshOptions({ username }: SshAccess, { proxy, keyFile }: SshFile): [name: string, value: string][] {
  return [
    ['User', username],
    ...(keyFile === null
      ? []
      : ([
          ['IdentityFile', `"${keyFile}"`],
          ['IdentitiesOnly', 'yes'],
        ] as [string, string][])),
    // ssh expands percent signs.
    ['ProxyCommand', proxy.replaceAll('%', '%%')],
    ['StrictHostKeyChecking', 'no'],
    ['UserKnownHostsFile', '/dev/null'],
    ['LogLevel', 'ERROR'],
  ];
}

/** The same as a file for `ssh -F`, `scp -F` and `sftp -F`; the machine is called as in its module. */
export function sshConfig(access: SshAccess, file: SshFile): string {
  const lines = sshOptions(access, file).map(([name, value]) => `  ${name} ${value}`);
  return `Host ${access.vm}\n${lines.join('\n')}\n`;
}
