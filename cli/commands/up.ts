import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { programCommand } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { runProcess } from '../../common/lifecycle/run-process.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { consoleLink, isAlive, pointerFile, readConnection, stateFolder } from '../client/connection.ts';
import { readReadyEvent, waitForLine } from '../farm/child-process.ts';
import { FarmFiles, writePointer } from '../farm/farm-files.ts';
import { LocalFarm } from '../farm/local-farm.ts';
import { printJson, printLine } from '../output/print.ts';

/** Its processes, one after the other, each of which has a minute. */
const WHOLE_FARM_MS = 4 * 60_000;

interface UpFlags {
  readonly dataDir: string;
  readonly port: number;
  readonly vms: number;
  readonly imports: number;
  readonly workers?: Record<string, number>;
  readonly failureRetention: string;
  readonly auditLog?: string;
  readonly detach?: boolean;
  readonly json?: boolean;
}

export function register(program: Command): void {
  program
    .command('up')
    .description('run a whole farm on this machine: Redis, a cluster over QEMU, a scheduler and workers')
    .addOption(
      new Option('--data-dir <dir>', 'where the farm keeps everything').default(
        join(stateFolder(), 'farm'),
        '$XDG_STATE_HOME/slipway/farm',
      ),
    )
    .addOption(
      new Option('--port <n>', 'port of the HTTP API on 127.0.0.1')
        .argParser(toCount)
        .default(0, 'the one used before, else a free one'),
    )
    .option('--vms <n>', 'virtual machines that may run at once', toCount, 4)
    .option('--imports <n>', 'imports that may run at once', toCount, 4)
    .option('--workers <phase=n>', `processes of a phase: ${PHASES.join(', ')} (repeatable)`, collectWorkers)
    .option('--failure-retention <duration>', 'how long disks of failed modules are kept', '30m')
    .option('--audit-log <file>', 'append every request that the cluster answers to FILE, as JSON lines')
    .option('-d, --detach', 'return when the farm is up; `slipway down` ends it')
    .option('--json', 'print one JSON line when the farm is up')
    .action((flags: UpFlags) => {
      const dataDir = resolve(flags.dataDir);
      refuseSecond(dataDir);
      return flags.detach ? upDetached(dataDir, flags) : up(dataDir, flags);
    });
}

async function up(dataDir: string, flags: UpFlags): Promise<void> {
  const logger = createLogger({ name: 'up', destination: process.stderr, level: flags.json ? 'warn' : 'info' });
  await runProcess(logger, async (resources) => {
    const { port, vms, imports, workers = {}, failureRetention } = flags;
    const audit = flags.auditLog === undefined ? {} : { auditLog: resolve(flags.auditLog) };
    const options = { dataDir, port, limits: { vms, imports }, workers, failureRetention, ...audit };
    const farm = new LocalFarm(options, logger);
    resources.defer('farm', () => farm.stop());
    const connection = await farm.start();
    writePointer(pointerFile(), { dataDir, pid: process.pid });
    announce(connection, flags.json ?? false);
  });
}

/** Starts the same command without `--detach` in a session of its own and waits for its ready line. */
async function upDetached(dataDir: string, flags: UpFlags): Promise<void> {
  const log = openSync(new FarmFiles(dataDir).log('up'), 'a', 0o600);
  const [node, main] = programCommand('cli/main');
  const args = process.argv.slice(2).filter((arg) => arg !== '--detach' && arg !== '-d' && arg !== '--json');
  const child = spawn(node, [main, ...args, '--json'], { detached: true, stdio: ['ignore', 'pipe', log] });
  try {
    await waitForLine(child, readReadyEvent, { name: 'slipway up', readyMs: WHOLE_FARM_MS });
  } catch (error) {
    // It ends what it has started.
    child.kill('SIGTERM');
    throw error;
  } finally {
    child.stdout?.destroy();
    child.unref();
  }
  const connection = readConnection(dataDir);
  if (connection) announce(connection, flags.json ?? false);
}

function announce(connection: Connection, json: boolean): void {
  const { url, kubeconfig, token } = connection;
  if (json) {
    printJson({ event: 'ready', url, kubeconfig });
    return;
  }
  printLine(`The farm is up at ${url}`);
  printLine('  build:   slipway build PATH');
  printLine(`  console: ${consoleLink(url, token)}`);
  printLine(`  queues:  ${url}/queues`);
  printLine(`  cluster: KUBECONFIG=${kubeconfig} kubectl get vms -A`);
  printLine('  end:     slipway down');
}

function refuseSecond(dataDir: string): void {
  const pid = readConnection(dataDir)?.pids['up']?.[0];
  if (pid === undefined || !isAlive(pid)) return;
  throw new FarmError('InvalidRequest', `A farm already runs in ${dataDir} (process ${pid}). End it: slipway down.`);
}

function toCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

function collectWorkers(text: string, former: Record<string, number> | undefined): Record<string, number> {
  const [phase = '', count = ''] = text.split('=');
  if (!PHASES.some((known) => known === phase)) throw new InvalidArgumentError(`The phases are ${PHASES.join(', ')}.`);
  return { ...former, [phase]: toCount(count) };
}
