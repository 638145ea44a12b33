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
import { followTpm } from './tpm.ts';

/**
 * State of a machine. `off`: the guest has powered off and QEMU waits for its end; `panicked`: the guest
 * reported it by its panic device; `tpm-lost`: its TPM has ended, and QEMU cannot connect to another one; `gone`: the
 * process has ended.
 */
export type MachineState = 'running' | 'paused' | 'io-error' | 'off' | 'panicked' | 'tpm-lost' | 'gone';

/** States of a guest that may continue. */
const LIVING: ReadonlySet<MachineState> = new Set(['running', 'paused', 'io-error']);

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

/** The used part of BlockInfo (QEMU's qapi/block-core.json). */
const blockDevicesSchema = z.array(
  z.object({
    qdev: z.string().optional(),
    'io-status': z.enum(['ok', 'failed', 'nospace']).optional(),
    inserted: z.object({ 'node-name': z.string() }).optional(),
  }),
);

/** A drive with a medium. */
export interface Drive {
  /** Its node in QEMU's block layer: the topmost one. */
  readonly node: string;
  /** The last request of the guest: whether it failed, and whether for lack of space. */
  readonly ioStatus: 'ok' | 'failed' | 'nospace';
}

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
  #ioErrors = 0;

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
    await machine.#look();
    stops.push(followTpm(machine.runDir, () => void machine.#loseTpm()));
    return machine;
  }

  get state(): MachineState {
    return this.#state;
  }

  /** How often its storage has failed since it is followed. */
  get ioErrors(): number {
    return this.#ioErrors;
  }

  get sockets(): ReturnType<typeof machineSockets> {
    return machineSockets(this.runDir);
  }

  /** Those of these drives that have a medium, by name. */
  async drives(names: readonly string[]): Promise<ReadonlyMap<string, Drive>> {
    const devices = blockDevicesSchema.parse(await this.qmp.execute('query-block'));
    return new Map(
      names.flatMap((name): [string, Drive][] => {
        const device = devices.find(({ qdev }) => qdev?.split('/').includes(name));
        if (!device?.inserted) return [];
        return [[name, { node: device.inserted['node-name'], ioStatus: device['io-status'] ?? 'ok' }]];
      }),
    );
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
    else if (event === 'RESUME') this.#resumed();
    // Only the run state shows why: QEMU holds back BLOCK_IO_ERROR for a second after another one.
    else if (event === 'STOP' && this.#state === 'running' && !this.#isRebooting) void this.#look().catch(() => {});
  }

  /** Rejects when the process has ended, which `closed` reports. */
  async #look(): Promise<void> {
    const { status } = statusSchema.parse(await this.qmp.execute('query-status'));
    this.#enter(STATES[status] ?? 'paused');
  }

  /** A TPM that ended because QEMU did is noticed with QEMU's end. */
  async #loseTpm(): Promise<void> {
    const runs = await this.#look().then(
      () => LIVING.has(this.#state),
      () => false,
    );
    if (runs) this.#enter('tpm-lost');
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
    if (this.#state === 'tpm-lost' && state !== 'gone') return;
    this.#state = state;
    if (state === 'io-error') this.#ioErrors += 1;
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
