import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../host/run-command.ts';

/**
 * Starts a software TPM 2.0 for one machine and returns its control socket. It ends with the machine's connection.
 * Rejects with `ClusterUnfit` when swtpm is not installed.
 */
export async function startTpm(runDir: string): Promise<string> {
  const state = join(runDir, 'tpm');
  const socket = join(runDir, 'tpm.sock');
  await mkdir(state, { recursive: true });
  const control = `type=unixio,path=${socket},terminate`;
  await runCommand('swtpm', ['socket', '--tpm2', '--daemon', '--tpmstate', `dir=${state}`, '--ctrl', control]);
  return socket;
}
