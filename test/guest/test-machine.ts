import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What a test machine is started with; `disks` and `drives` are in boot order. */
export interface TestMachineOptions {
  /** A directory of the test's own, for the serial console's socket. */
  readonly directory: string;
  /** A qcow2 file, attached by virtio-blk. */
  readonly disk: string;
  /** An ISO file, attached to the SATA controller. */
  readonly cdrom: string;
  readonly nic: 'e1000' | 'virtio-net-pci';
  readonly firmware: 'bios' | 'uefi';
}

/** One QEMU (q35, TCG, 256 MiB) with user-mode networking; QMP on its stdio, the serial console on a socket. */
export class TestMachine {
  /** Port on 127.0.0.1 that leads to the guest's port 22. */
  sshPort = 0;
  /** All output of the serial console so far. */
  consoleText = '';
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  readonly #replies: ((reply: unknown) => void)[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #serial: Promise<unknown>;

  private constructor(options: TestMachineOptions) {
    const socket = join(options.directory, `serial-${Date.now()}.sock`);
    const server = createServer((connection) => this.#readConsole(connection)).listen(socket);
    this.#serial = once(server, 'listening');
    server.unref();
    const firmware = options.firmware === 'uefi' ? ['-bios', '/usr/share/ovmf/OVMF.fd'] : [];
    const devices = [
      `-serial unix:${socket}`,
      `-drive file=${options.disk},if=none,id=disk`,
      '-device virtio-blk-pci,drive=disk,bootindex=1',
      `-drive file=${options.cdrom},if=none,id=cdrom,media=cdrom`,
      '-device ide-cd,drive=cdrom,bootindex=2',
      '-netdev user,id=net,hostfwd=tcp:127.0.0.1:0-:22',
      `-device ${options.nic},netdev=net`,
    ].flatMap((option) => option.split(' '));
    // The size as the embedded cluster has it: a larger buffer makes reboots slow.
    const accel = ['-accel', 'tcg,thread=multi,tb-size=64'];
    const machine = ['-machine', 'q35', ...accel, '-m', '256', '-display', 'none', '-qmp', 'stdio', '-S'];
    this.#process = spawn('qemu-system-x86_64', [...machine, ...firmware, ...devices], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.exited = once(this.#process, 'exit').then(([code]) => {
      server.close();
      return code as number | null;
    });
    this.#readReplies();
  }

  /** Starts a machine and returns when its processor runs. */
  static async start(options: TestMachineOptions): Promise<TestMachine> {
    const machine = new TestMachine(options);
    await machine.#serial;
    await machine.execute('qmp_capabilities');
    const network = String(await machine.execute('human-monitor-command', { 'command-line': 'info usernet' }));
    machine.sshPort = Number(/HOST_FORWARD\]\s+\S+\s+127\.0\.0\.1\s+(\d+)/.exec(network)?.[1]);
    await machine.execute('cont');
    return machine;
  }

  /** Runs one QMP command; its `return` value, or a rejection with QMP's error. */
  async execute(command: string, parameters: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const answer = new Promise<unknown>((resolve) => this.#replies.push(resolve));
    this.#process.stdin?.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`);
    const reply = (await answer) as { return?: unknown; error?: { desc: string } };
    if (reply.error) throw new Error(`QMP ${command}: ${reply.error.desc}`);
    return reply.return;
  }

  /** Resolves when the console has printed `text`, from position `from` on; rejects when the machine ends before. */
  async saw(text: string, from = 0): Promise<void> {
    const seen = new Promise<void>((resolve) => {
      const look = () => {
        if (!this.consoleText.includes(text, from)) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
    const ended = this.exited.then(() => {
      throw new Error(`The machine ended before it printed "${text}":\n${this.consoleText}`);
    });
    await Promise.race([seen, ended]);
  }

  /** Takes the power away; for clean-up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  #readReplies(): void {
    if (!this.#process.stdout) throw new Error('QEMU was started without a pipe for QMP.');
    createInterface(this.#process.stdout).on('line', (line) => {
      const message: unknown = JSON.parse(line);
      if (typeof message !== 'object' || message === null) return;
      if ('return' in message || 'error' in message) this.#replies.shift()?.(message);
    });
  }

  #readConsole(connection: Socket): void {
    connection.setEncoding('utf8').on('data', (text) => {
      this.consoleText += text;
      for (const look of this.#watchers) look();
    });
  }
}
