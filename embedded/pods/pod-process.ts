import { spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { boundLog } from '../host/bounded-log.ts';
import { firstLine } from '../host/first-line.ts';
import { findProcesses, killProcesses, sendSignal } from '../host/processes.ts';
import { watchAppearance } from '../host/watch-appearance.ts';
import { type PodPlan, podFiles } from './pod-plan.ts';

const SUPERVISOR = 'embedded/pods/pod-supervisor';

/** How a pod's command ended. `reason` is set when it could not be started at all. */
export interface PodExit {
  readonly exitCode: number;
  readonly reason?: string;
}

/** Where a pod's process lives. */
export interface PodPlace {
  readonly directory: string;
  readonly clock: Clock;
  /** Called once when the process has ended. */
  readonly onEnd: () => void;
  /** Hears why the size of its log cannot be bounded. */
  readonly onLogTrouble: (error: unknown) => void;
}

/** The process of a pod, through its supervisor. */
export class PodProcess {
  readonly #place: PodPlace;
  #watcher: Socket | undefined;
  #unboundLog: (() => void) | undefined;
  #hasEnded = false;

  private constructor(place: PodPlace) {
    this.#place = place;
  }

  /** Starts the command in a network namespace; resolves when it runs and its ports can be reached. */
  static async start(place: PodPlace, plan: PodPlan, networkNamespace: string): Promise<PodProcess> {
    const files = podFiles(place.directory);
    await mkdir(place.directory, { recursive: true });
    await Promise.all([files.exit, files.socket].map((path) => rm(path, { force: true })));
    await writeFile(files.plan, JSON.stringify(plan), { mode: 0o600 });
    const [command = '', ...args] = [
      'nsenter',
      `--net=${networkNamespace}`,
      ...programCommand(SUPERVISOR),
      place.directory,
    ];
    const child = spawn(command, args, { detached: true, stdio: 'ignore' });
    child.unref();
    const ended = new Promise<never>((_, reject) => {
      child.once('error', (cause) => reject(new FarmError('ClusterUnfit', 'A pod could not be started', { cause })));
      child.once('exit', () => reject(new FarmError('ConnectionLost', 'The pod ended at once')));
    });
    ended.catch(() => {});
    const process = new PodProcess(place);
    const listening = watchAppearance(place.directory, files.socket);
    try {
      await Promise.race([listening.appeared.then(() => process.#followSoon(100)), ended]);
    } catch (error) {
      if ((await process.exit()) === undefined) throw error;
      process.#end(); // A command that ends at once is a result.
    } finally {
      listening.stop();
    }
    return process;
  }

  /** Finds the process of a pod after a restart of the server; undefined when it is gone. */
  static async adopt(place: PodPlace): Promise<PodProcess | undefined> {
    const process = new PodProcess(place);
    try {
      await process.#follow();
      return process;
    } catch {
      return undefined;
    }
  }

  /** A process that ran before and is gone: how it ended is on disk, or not known. */
  static gone(place: PodPlace): PodProcess {
    const process = new PodProcess(place);
    process.#hasEnded = true;
    return process;
  }

  /** How the command ended; undefined while it runs, and when it was lost. */
  async exit(): Promise<PodExit | undefined> {
    try {
      return JSON.parse(await readFile(podFiles(this.#place.directory).exit, 'utf8')) as PodExit;
    } catch {
      return undefined;
    }
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Connects to a port on the pod's loopback; rejects with the reason when no process listens. */
  async openPort(port: number): Promise<Duplex> {
    const socket = await this.#dial(`CONNECT ${port}\n`);
    const answer = await firstLine(socket);
    if (answer === 'OK') return socket;
    socket.destroy();
    throw new FarmError('ConnectionLost', answer.replace(/^ERROR /, '') || 'the pod has ended');
  }

  /** Asks the command to end, by its supervisor. */
  async terminate(): Promise<void> {
    const [, program] = programCommand(SUPERVISOR);
    for (const { pid, argv } of await this.#processes()) if (argv.includes(program)) sendSignal(pid, 'SIGTERM');
  }

  /** Ends everything that is left of it. */
  async kill(): Promise<void> {
    await killProcesses(await this.#processes(), this.#place.clock);
    this.#end();
  }

  /** Stops following; the process continues. */
  detach(): void {
    this.#hasEnded = true;
    this.#unboundLog?.();
    this.#watcher?.destroy();
  }

  async #processes() {
    return await findProcesses(this.#place.directory);
  }

  /** The socket file appears a moment before the supervisor listens on it. */
  async #followSoon(attempts: number): Promise<void> {
    try {
      await this.#follow();
    } catch (error) {
      if (attempts === 0) throw error;
      await this.#place.clock.after(2);
      await this.#followSoon(attempts - 1);
    }
  }

  async #follow(): Promise<void> {
    const watcher = await this.#dial('WATCH\n');
    this.#watcher = watcher;
    // A relay writes a line for each request of a guest.
    this.#unboundLog = boundLog(podFiles(this.#place.directory).log, this.#place.onLogTrouble);
    watcher.once('end', () => watcher.destroy());
    watcher.once('close', () => this.#end());
    watcher.resume();
  }

  async #dial(greeting: string): Promise<Socket> {
    const socket = connect({ path: podFiles(this.#place.directory).socket, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (cause) => reject(new FarmError('ConnectionLost', 'The pod has ended', { cause })));
    });
    socket.on('error', () => {});
    socket.write(greeting);
    return socket;
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#unboundLog?.();
    this.#place.onEnd();
  }
}
