import { spawn } from 'node:child_process';
import { appendFileSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { programCommand } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import { NETWORK_KINDS } from '../../common/contracts/network-kinds.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { ERRORS, type ErrorCode } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { lockDirectory } from '../../common/lifecycle/lock-directory.ts';
import { runProcess } from '../../common/lifecycle/run-process.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { pointerFile, readConnection, stateFolder } from '../client/connection.ts';
import { waitForLine } from '../farm/child-process.ts';
import { FarmFiles, writePointer } from '../farm/farm-files.ts';
import { listenUrl } from '../farm/listen-address.ts';
import { LocalFarm } from '../farm/local-farm.ts';
import { requireMachine } from '../farm/machine-checks.ts';
import { endLeftovers, runningUp } from '../farm/stop-farm.ts';
import { reportFailure } from '../output/failure.ts';
import { describeLimits, printFarm } from '../output/farm-links.ts';
import { printJson, printLine, printNote } from '../output/print.ts';
import {
  collectAddresses,
  collectNetworks,
  collectSettings,
  collectWorkers,
  optionsOf,
  toBytes,
  toCount,
  toListen,
  type UpFlags,
} from './farm-flags.ts';

/** Its processes, one after the other, each of which has a minute. */
const WHOLE_FARM_MS = 4 * 60_000;

/** The line that `up --json` prints: the farm is up, or could not be started. */
const outcomeSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('ready'), url: z.string(), kubeconfig: z.string() }),
  z.object({ event: z.literal('failed'), code: z.string(), message: z.string() }),
]);

export function register(program: Command): void {
  const suitable = 'chosen for this machine';
  program
    .command('up')
    .description('run a whole farm on this machine: Redis, a cluster over QEMU, a scheduler and workers')
    .addOption(
      new Option('--data-dir <dir>', 'data folder of the farm').default(
        join(stateFolder(), 'farm'),
        '$XDG_STATE_HOME/slipway/farm',
      ),
    )
    .addOption(
      new Option('--port <n>', 'port of the HTTP API on 127.0.0.1')
        .argParser(toCount)
        .default(0, 'the one used before, else a free one'),
    )
    .option('--listen <address>', 'serve the farm to others with TLS at ADDRESS or ADDRESS:PORT (8443)', toListen)
    .option('--tls-cert <file>', 'certificate of --listen, a PEM file')
    .option('--tls-key <file>', 'key of the certificate, a PEM file')
    .option('--vms <n>', `virtual machines that may run at once (default: ${suitable})`, toCount)
    .option('--imports <n>', `imports that may run at once (default: ${suitable})`, toCount)
    .option('--cpu <n>', `virtual cores that these machines may have together (default: ${suitable})`, toCount)
    .option('--memory <size>', `memory that they may have together, e.g. 12Gi (default: ${suitable})`, toBytes)
    .option('--workers <phase=n>', `worker processes of a phase: ${PHASES.join(', ')} (repeatable)`, collectWorkers)
    .option('--failure-retention <duration>', 'how long disks of failed modules are kept', '30m')
    .option(
      '--keep-images <n>',
      'remove old images by itself, but this many of the newest versions of each module',
      toCount,
    )
    .option('--max-image-age <age>', 'remove other images by itself that are older than this, such as 30d')
    .addOption(
      new Option(
        '--allow-address <address>',
        'loopback or private address, network or host name that URLs of modules may use, e.g. 192.168.1.5:8080 (repeatable)',
      )
        .argParser(collectAddresses)
        .env('SLIPWAY_ALLOW_ADDRESS'),
    )
    .addOption(
      new Option('--network <kind>', 'how machines are connected: by networks of their own, or on one pod network')
        .choices(NETWORK_KINDS)
        .default('kube-ovn'),
    )
    .option(
      '--guest-network <network>',
      'private network that guests with internet may reach, e.g. 10.1.0.0/16 (repeatable)',
      collectNetworks,
    )
    .option(
      '--set <option=value>',
      'another option of the configuration, such as http.limits.modules=25000 (repeatable)',
      collectSettings,
    )
    .option('--audit-log <file>', 'append every request that the cluster answers to FILE, as JSON lines')
    .option('-d, --detach', 'return when the farm is up; `slipway down` stops it')
    .option('--json', 'print one JSON line when the farm is up')
    .action(async (flags: UpFlags) => {
      const dataDir = resolve(flags.dataDir);
      const running = runningUp(dataDir);
      if (running !== undefined) {
        writePointer(pointerFile(), { dataDir, pid: running });
        await printRunning(dataDir, flags.json ?? false);
        return;
      }
      requireMachine(dataDir);
      if (readConnection(dataDir) !== undefined)
        printNote(`The last \`slipway up\` in ${dataDir} was killed. This one takes over its builds and machines.`);
      await (flags.detach ? upDetached(dataDir, flags) : up(dataDir, flags));
    });
}

async function up(dataDir: string, flags: UpFlags): Promise<void> {
  const { json = false } = flags;
  const logFile = new FarmFiles(dataDir).log('up');
  // The terminal is for sentences; and the last line is written also when the process ends at once.
  const destination = { write: (line: string) => appendFileSync(logFile, line, { mode: 0o600 }) };
  const logger = createLogger({ name: 'up', destination });
  await runProcess(logger, async (resources) => {
    try {
      await lockDirectory(dataDir, 'farm', resources);
      await endLeftovers(dataDir);
      const options = optionsOf(dataDir, flags);
      const farm = new LocalFarm(options, logger);
      resources.defer('farm', () => {
        if (!json) printNote('The farm stops; its builds continue at the next `slipway up`.');
        return farm.stop();
      });
      const connection = await farm.start();
      writePointer(pointerFile(), { dataDir, pid: process.pid });
      if (json) return printReady(connection);
      await printFarm(connection, { sentence: 'The farm is up at', end: 'Ctrl-C, or `slipway down`' });
      if (options.listen) printLine(`  others:  ${listenUrl(options.listen)}`);
      printLine(`  limits:  ${describeLimits(options.limits)}`);
    } catch (error) {
      if (json) printJson({ event: 'failed', code: codeOf(error), message: errorMessage(error) });
      else reportFailure(error);
      throw error;
    }
  });
}

/** Starts the same command without `--detach` in a session of its own and waits for its result. */
async function upDetached(dataDir: string, flags: UpFlags): Promise<void> {
  const logFile = new FarmFiles(dataDir).log('up');
  const [node, main] = programCommand('cli/main');
  const args = process.argv.slice(2).filter((arg) => arg !== '--detach' && arg !== '-d' && arg !== '--json');
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(node, [main, ...args, '--json'], { detached: true, stdio: ['ignore', 'pipe', log] });
  try {
    const outcome = await waitForLine(child, readOutcome, { name: 'slipway up', logFile, readyMs: WHOLE_FARM_MS });
    if (outcome.event === 'failed') {
      throw new FarmError(outcome.code in ERRORS ? (outcome.code as ErrorCode) : 'FarmNotStarted', outcome.message);
    }
  } catch (error) {
    // It ends its own child processes.
    child.kill('SIGTERM');
    throw error;
  } finally {
    child.stdout?.destroy();
    child.unref();
  }
  const connection = readConnection(dataDir);
  if (!connection) throw new FarmError('FarmNotStarted', `The farm in ${dataDir} ended right after it started.`);
  if (flags.json) return printReady(connection);
  await printFarm(connection, { sentence: 'The farm is up at', end: 'slipway down' });
  printLine(`  limits:  ${describeLimits(optionsOf(dataDir, flags).limits)}`);
}

/** Output of `up` when the farm is already up. */
async function printRunning(dataDir: string, json: boolean): Promise<void> {
  const connection = readConnection(dataDir);
  if (!connection) throw new FarmError('FarmNotStarted', `The farm in ${dataDir} is stopping. Try again.`);
  if (json) {
    printReady(connection);
    return;
  }
  await printFarm(connection, { sentence: 'The farm already runs at', end: 'slipway down' });
  printNote('Options of this command take effect after `slipway down`.');
}

function printReady({ url, kubeconfig }: Connection): void {
  printJson({ event: 'ready', url, kubeconfig });
}

function readOutcome(line: string): z.infer<typeof outcomeSchema> | undefined {
  return line.startsWith('{"event":') ? outcomeSchema.parse(JSON.parse(line)) : undefined;
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof FarmError ? error.code : 'FarmNotStarted';
}
