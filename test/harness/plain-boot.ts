import { spawn } from 'node:child_process';
import type { ExportFormat } from '../../common/contracts/exports.ts';

const BOOT_MS = 240_000;

/** The output of the guest of a disk at its serial port up to the login prompt, under nothing but QEMU. */
export async function bootOutput(disk: string, format: ExportFormat): Promise<string> {
  const machine = ['-machine', 'q35,accel=tcg', '-m', '768', '-display', 'none', '-serial', 'stdio', '-nic', 'none'];
  const drive = ['-drive', `file=${disk},format=${format},if=virtio`, '-snapshot'];
  const guest = spawn('qemu-system-x86_64', [...machine, ...drive], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: BOOT_MS,
  });
  let output = '';
  for await (const chunk of guest.stdout) {
    output += String(chunk);
    if (output.endsWith('login: ')) break;
  }
  guest.kill('SIGKILL');
  return output;
}
