import { execFileSync } from 'node:child_process';

const MOST_TRIES = 20;
const OPTIONS = {
  luks: 'key-secret=key,iter-time=10',
  qcow2: 'encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10',
};

/**
 * Makes an encrypted image of 8 MiB. QEMU times its own hashing for that, and fails ("Unable to get
 * accurate CPU usage") where other processes disturb it: then it is asked again.
 */
export function createEncrypted(path: string, format: keyof typeof OPTIONS): void {
  const secret = ['--object', 'secret,id=key,data=pass'];
  for (let tries = 1; ; tries += 1) {
    try {
      execFileSync('qemu-img', ['create', '-q', '-f', format, ...secret, '-o', OPTIONS[format], path, '8M'], {
        stdio: 'pipe',
      });
      return;
    } catch (error) {
      if (tries === MOST_TRIES || !String(error).includes('CPU usage')) throw error;
    }
  }
}
