import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { programCommand } from '../../common/config/package-root.ts';
import { foreignKubeconfig } from './foreign-cluster.ts';
import { recordingArguments } from './recordings.ts';

/** Images of tests are served here. */
const SOURCES = { allowedAddresses: ['127.0.0.1'] };

/** What kind of embedded cluster a test needs. */
export interface EmbeddedClusterOptions {
  /** @defaultValue a new temporary directory */
  readonly dataDir?: string;
  /** Image to the local command that runs in its stead. */
  readonly podCommands?: Readonly<Record<string, readonly string[]>>;
  /** More of the cluster's configuration file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Serve the API without controllers: objects are stored, nothing runs. */
  readonly apiOnly?: boolean;
  /** What the server, and only it, finds at paths of the host: files to read instead. */
  readonly files?: Readonly<Record<string, string>>;
  /** More arguments of the process; then it does not record for the run. */
  readonly args?: readonly string[];
}

/** A running cluster, in a process of its own or (SLIPWAY_CONFORMANCE_KUBECONFIG) a foreign one. */
export interface EmbeddedCluster {
  readonly kubeconfig: string;
  /** Undefined for a foreign cluster. */
  readonly dataDir: string | undefined;
  /** Ends the server process (machines continue) and starts it again on the same data and port. */
  restart(): Promise<void>;
  /** Sends a signal to the server process and waits for its end. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends the cluster and everything that it ran, and removes its data. */
  stop(): Promise<void>;
}

/** Starts an embedded cluster and resolves when it is ready. */
export async function startEmbeddedCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'slipway-cluster-')));
  const configFile = join(dataDir, 'test-config.json');
  await writeFile(
    configFile,
    JSON.stringify({ fetch: SOURCES, ...options.config, podCommands: options.podCommands ?? {} }),
  );
  const args = [
    ...['--data-dir', dataDir, '--config', configFile],
    ...(options.apiOnly ? ['--api-only'] : []),
    ...(options.args ?? recordingArguments(dataDir)),
  ];
  const isOurs = options.dataDir === undefined;
  const start = () => startServer(args, options.files);
  let server = await start().catch(async (error: unknown) => {
    if (isOurs) await rm(dataDir, { recursive: true, force: true });
    throw error;
  });
  return {
    kubeconfig: server.kubeconfig,
    dataDir,
    restart: async () => {
      await endProcess(server.child, 'SIGTERM');
      server = await start();
    },
    kill: (signal) => endProcess(server.child, signal),
    stop: async () => {
      await endProcess(server.child, 'SIGTERM');
      await purge(dataDir);
    },
  };
}

/** The cluster that a conformance suite runs against: the foreign one if it is named, else an embedded one. */
export async function conformanceCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  if (!foreignKubeconfig) return await startEmbeddedCluster(options);
  const refuse = async () => {
    throw new Error('A foreign cluster is not started or ended by tests.');
  };
  return { kubeconfig: foreignKubeconfig, dataDir: undefined, restart: refuse, kill: refuse, stop: async () => {} };
}

function spawnMain(args: readonly string[], files: Readonly<Record<string, string>> = {}): ChildProcess {
  const [node, main] = programCommand('embedded/main');
  const mounts = Object.entries(files).map(([path, file]) => `mount --bind ${file} ${path} && `);
  const inOwnView = ['unshare', '--mount', 'sh', '-c', `${mounts.join('')}exec "$@"`, 'sh'];
  const [command = node, ...rest] = [...(mounts.length > 0 ? inOwnView : []), node, main, ...args];
  return spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function startServer(
  args: readonly string[],
  files?: Readonly<Record<string, string>>,
): Promise<{ child: ChildProcess; kubeconfig: string }> {
  const child = spawnMain(args, files);
  const kill = () => child.kill('SIGTERM');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  const log: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => {
    log.push(chunk.toString());
    if (log.length > 200) log.shift();
  });
  if (!child.stdout) throw new Error('The embedded cluster has no standard output.');
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line) as { event?: string; kubeconfig?: string };
    if (message.event === 'ready' && message.kubeconfig) return { child, kubeconfig: message.kubeconfig };
  }
  throw new Error(`The embedded cluster did not become ready:\n${log.join('')}`);
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

async function purge(dataDir: string): Promise<void> {
  const child = spawnMain(['--data-dir', dataDir, '--purge']);
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  child.stdout?.resume();
  await once(child, 'exit');
  if (child.exitCode !== 0) throw new Error(`The embedded cluster could not be purged:\n${log}`);
  await rm(dataDir, { recursive: true, force: true });
}
