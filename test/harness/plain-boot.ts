import { spawn } from 'node:child_process';

const BOOT_MS = 240_000;

/** What the guest of a disk says at its serial port until it asks who is there, under nothing but QEMU. */
export async function saidAtBoot(disk: string): Promise<string> {
  const machine = ['-machine', 'q35,accel=tcg', '-m', '768', '-display', 'none', '-serial', 'stdio', '-nic', 'none'];
  const drive = ['-drive', `file=${disk},format=qcow2,if=virtio`, '-snapshot'];
  const guest = spawn('qemu-system-x86_64', [...machine, ...drive], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: BOOT_MS,
  });
  let said = '';
  for await (const chunk of guest.stdout) {
    said += String(chunk);
    if (said.endsWith('login: ')) break;
  }
  guest.kill('SIGKILL');
  return said;
}
