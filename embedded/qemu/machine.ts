import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../../common/clock/clock.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import type { Logger } from '../../common/logging/logger.ts';
import { boundLog } from '../host/bounded-log.ts';
import { killLeftovers } from '../host/processes.ts';
import { machineSockets } from './command-line.ts';
import type { QmpClient, QmpEvent } from './qmp-client.ts';

/**
 * State of a machine. `off`: the guest has powered off and QEMU waits for its end; `panicked`: the guest
 * reported it by its panic device; `gone`: the process has ended.
 */
export type MachineState = 'running' | 'paused' | 'io-error' | 'off' | 'panicked' | 'gone';

/** QEMU's RunState (qapi/run-state.json) in our words. */
const STATES: Readonly<Record<string, MachineState>> = {
  running: 'running',
  shutdown: 'off',
  'guest-panicked': 'panicked',
  'io-error': 'io-error',
  'internal-error': 'panicked',
};

/** The used part of StatusInfo. */
const statusSchema = z.object({ status: z.string() });

/** How a machine is reached. */
export interface MachineOptions {
  readonly runDir: string;
  readonly qmp: QmpClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called whenever `state` has changed. */
  readonly onChange: () => void;
}

/** Logs that a guest, or who got hold of QEMU, can write to without end. */
const GUEST_LOGS = ['serialLog', 'stderr'] as const;

/** A QEMU process: its control connection, its state as last announced, its sockets. Outlives the server. */
export class Machine {
  readonly runDir: string;
  readonly qmp: QmpClient;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  #state: MachineState = 'paused';
  #isRebooting = false;

  private constructor({ runDir, qmp, clock, onChange }: MachineOptions) {
    this.runDir = runDir;
    this.qmp = qmp;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /**
   * Follows a process from now on. Events before the connection are made up for by one look at the run state.
   * @throws when the peer is not QEMU
   */
  static async follow(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(options);
    machine.qmp.onEvent((event) => machine.#observe(event));
    // A machine without a serial port has no serial log.
    const logs = GUEST_LOGS.map((log) => machine.sockets[log]).filter((path) => existsSync(path));
    const { logger } = options;
    const stops = logs.map((path) =>
      boundLog(path, (error) => logger.warn({ err: error, path }, 'The log of a machine grows without a bound')),
    );
    void machine.qmp.closed.then(() => {
      for (const stop of stops) stop();
      machine.#enter('gone');
    });
    const { status } = statusSchema.parse(await machine.qmp.execute('query-status'));
    machine.#state = STATES[status] ?? 'paused';
    return machine;
  }

  get state(): MachineState {
    return this.#state;
  }

  get sockets(): ReturnType<typeof machineSockets> {
    return machineSockets(this.runDir);
  }

  /** Lets a machine that was started paused, or that was paused, continue. */
  async resume(): Promise<void> {
    await this.qmp.execute('cont');
  }

  async pause(): Promise<void> {
    await this.qmp.execute('stop');
  }

  /** Presses the power button; the guest decides what follows. */
  async pressPowerButton(): Promise<void> {
    this.#isRebooting = false;
    await this.qmp.execute('system_powerdown');
  }

  /**
   * Presses the power button and starts the guest again when it has gone off, as libvirt does for a reboot by ACPI.
   * The power-off of such a reboot is not an end.
   */
  async rebootByPowerButton(): Promise<void> {
    this.#isRebooting = true;
    await this.qmp.execute('system_powerdown');
  }

  /** Pulls the reset line. */
  async reset(): Promise<void> {
    await this.qmp.execute('system_reset');
  }

  /** Ends the process: QEMU closes its images by itself, unless it no longer answers within 2 s. */
  async end(): Promise<void> {
    const patience = new AbortController();
    const asked = this.qmp.execute('quit').then(
      () => this.qmp.closed,
      () => {},
    );
    await Promise.race([asked, this.#clock.after(2_000, patience.signal).catch(() => {})]);
    patience.abort();
    await killLeftovers(this.runDir, this.#clock);
    this.#enter('gone');
  }

  /** Stops following; the process continues. */
  detach(): void {
    this.#state = 'gone';
    this.qmp.close();
  }

  /** The last lines that QEMU wrote, for the message of a failure. */
  async lastWords(): Promise<string> {
    return await readQemuErrors(this.runDir);
  }

  /** A SHUTDOWN that is not the guest's doing (a signal to QEMU) shows as the end of the process. */
  #observe({ event, data }: QmpEvent): void {
    const isPowerOff = event === 'SHUTDOWN' && data?.['guest'] === true;
    if (isPowerOff && this.#isRebooting) void this.#startAgain();
    else if (isPowerOff) this.#enter('off');
    else if (event === 'GUEST_PANICKED') this.#enter('panicked');
    else if (event === 'BLOCK_IO_ERROR' && data?.['action'] === 'stop') this.#enter('io-error');
    else if (event === 'RESUME') this.#resumed();
    else if (event === 'STOP' && this.#state === 'running' && !this.#isRebooting) this.#enter('paused');
  }

  async #startAgain(): Promise<void> {
    await this.qmp.execute('system_reset').catch(() => {});
    await this.qmp.execute('cont').catch(() => {});
  }

  #resumed(): void {
    this.#isRebooting = false;
    this.#enter('running');
  }

  #enter(state: MachineState): void {
    if (this.#state === state || this.#state === 'gone') return;
    this.#state = state;
    this.#onChange();
  }
}

/** Standard error of QEMU, at most 500 characters. */
export async function readQemuErrors(runDir: string): Promise<string> {
  try {
    return (await readFile(machineSockets(runDir).stderr, 'utf8')).trim().slice(-500);
  } catch (error) {
    return errorMessage(error);
  }
}
