import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readConnection } from '../../cli/client/connection.ts';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { programCommand } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import { assert, FarmError } from '../../common/errors/farm-error.ts';
import { recordingArguments } from './recordings.ts';

/** The command line as it is installed; `npm test` and `npm run demo` compile it before. */
const [NODE, SLIPWAY] = programCommand('cli/main');

/** Images and files of tests are served here. */
const SOURCES = ['--allow-address', '127.0.0.1'];

/** How a test wants its farm. */
export interface FarmRequest {
  readonly dataDir?: string;
  /** True keeps the user's own pointer untouched. @defaultValue true */
  readonly privateState?: boolean;
  /** Further flags of `slipway up`. */
  readonly flags?: readonly string[];
}

/** A farm started by `slipway up`, as a user has it. */
export interface TestFarm {
  readonly dataDir: string;
  readonly connection: Connection;
  readonly client: FarmClient;
  /** Runs the CLI against this farm. Never throws: look at the exit code. */
  slipway(...args: string[]): Promise<CommandResult>;
  /** The connection as it is now: process ids change when a process was started again. */
  current(): Connection;
  /** Ends the farm and removes everything that it made. */
  purge(): Promise<void>;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the farms of this process end that have not ended yet. */
const purges = new Set<() => Promise<void>>();

/** Removes the farms that this process has started: they run apart from it, and would outlive it. */
export async function purgeFarms(): Promise<void> {
  await Promise.all([...purges].map((purge) => purge()));
}

export async function startFarm({ dataDir, privateState = true, flags = [] }: FarmRequest = {}): Promise<TestFarm> {
  const folder = dataDir ?? mkdtempSync(join(tmpdir(), 'slipway-farm-'));
  const environment = privateState ? { ...process.env, XDG_STATE_HOME: join(folder, 'state') } : process.env;
  const run = (args: readonly string[]) => runCli(args, environment);
  const starting = run([
    'up',
    '--data-dir',
    folder,
    '--detach',
    '--json',
    ...recordingArguments(folder),
    ...SOURCES,
    ...flags,
  ]);
  let purging: Promise<void> | undefined;
  const purge = () => {
    purging ??= starting.then(async () => {
      const { exitCode, stderr } = await run(['down', '--data-dir', folder, '--purge']);
      purges.delete(purge);
      assert(exitCode === 0, `slipway down --purge failed: ${stderr}`);
    });
    return purging;
  };
  purges.add(purge);
  const up = await starting;
  if (up.exitCode !== 0) {
    await purge();
    throw new FarmError('FarmUnreachable', `slipway up failed: ${up.stderr}`);
  }
  const current = () => {
    const connection = readConnection(folder);
    assert(connection, 'A farm that is up has a connection file.');
    return connection;
  };
  const connection = current();
  return {
    dataDir: folder,
    connection,
    client: new FarmClient(connection),
    slipway: (...args) => run(args),
    current,
    purge,
  };
}

/** Runs the CLI to its end. */
export async function runCli(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<CommandResult> {
  try {
    const { stdout, stderr } = await promisify(execFile)(NODE, [SLIPWAY, ...args], {
      env,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { exitCode: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: number | string; stdout?: string; stderr?: string };
    return { exitCode: typeof code === 'number' ? code : 1, stdout: stdout ?? '', stderr: stderr ?? String(error) };
  }
}
