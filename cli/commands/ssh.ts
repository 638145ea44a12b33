import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { SshAccess } from '../../common/contracts/ssh-access.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, flagsOf, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { findWaiting } from '../client/find-waiting.ts';
import { printLine, printNote } from '../output/print.ts';
import { type SshFile, sshConfig, sshOptions } from '../output/ssh-config.ts';
import { writePrivate } from '../private-file.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface SshFlags extends ConnectionFlags {
  readonly stdio?: boolean;
  readonly config?: string;
}

export function register(program: Command): void {
  const command = program
    .command('ssh')
    .description(
      'log in to a clone, or to a machine whose step waits for a person, with the local ssh through the farm',
    )
    .argument('<build/vm>', 'the machine; BUILD alone if only one waits')
    .argument('[command...]', 'command to run instead of a shell; put -- before it')
    .option('--config <file>', 'write a configuration for ssh, scp and sftp to FILE, and the key to FILE.key')
    .option('--stdio', 'only connect standard input and output to the SSH server, as a ProxyCommand');
  addConnectionFlags(command).action(async (target: string, words: string[], flags: SshFlags) => {
    const farm = requireFarm(flags);
    const client = new FarmClient(farm);
    const { buildId, vm } = await findWaiting(client, target);
    if (flags.stdio) return joinStdio(client, buildId, vm);
    const access = await client.machines.sshAccess(buildId, vm);
    const proxy = proxyCommand(`${buildId}/${vm}`, flags);
    if (flags.config !== undefined) {
      writeConfig(resolve(flags.config), access, proxy);
      return flagsOf(flags).length > 0 ? printNote('ssh takes the token of this farm from SLIPWAY_TOKEN.') : undefined;
    }
    const environment = { ...process.env, SLIPWAY_URL: farm.url, SLIPWAY_TOKEN: farm.token };
    process.exitCode = await runSsh({ access, proxy, words, environment });
  });
}

/** This very command, as ssh starts it by a shell; the token is never in it. */
function proxyCommand(target: string, flags: SshFlags): string {
  const words = [process.execPath, process.argv[1] ?? 'slipway', 'ssh', '--stdio', target, ...flagsOf(flags)];
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
}

async function joinStdio(client: FarmClient, buildId: string, vm: string): Promise<void> {
  const stream = await client.machines.openSsh(buildId, vm);
  await Promise.race([pipeline(process.stdin, stream), pipeline(stream, process.stdout)]).catch((error) =>
    printNote(`The connection has ended: ${errorMessage(error)}`),
  );
  stream.destroy();
  process.stdin.destroy();
}

function writeConfig(path: string, access: SshAccess, proxy: string): void {
  const file: SshFile = { proxy, keyFile: access.privateKey === null ? null : `${path}.key` };
  if (file.keyFile !== null) writePrivate(file.keyFile, access.privateKey ?? '');
  writePrivate(path, sshConfig(access, file));
  printLine(`ssh -F ${path} ${access.vm}`);
}

interface SshRun {
  readonly access: SshAccess;
  readonly proxy: string;
  readonly words: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** Runs ssh with the key in a folder that only this user reads, and that goes with it. Its exit code. */
async function runSsh({ access, proxy, words, environment }: SshRun): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-ssh-'));
  try {
    const keyFile = access.privateKey === null ? null : join(folder, 'key');
    if (keyFile !== null) writeFileSync(keyFile, access.privateKey ?? '', { mode: 0o600 });
    const options = sshOptions(access, { proxy, keyFile }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const ssh = spawn('ssh', [...options, access.vm, ...words], { stdio: 'inherit', env: environment });
    // The terminal sends it to ssh as well, which ends in its own way.
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const [code] = (await once(ssh, 'exit').finally(() => process.off('SIGINT', ignore))) as [number | null];
    return code ?? 1;
  } catch (error) {
    throw new FarmError('InvalidConfig', `ssh cannot be started: ${errorMessage(error)}.`, { cause: error });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
