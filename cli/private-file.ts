import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Writes a file that only this user reads, whole or not at all. It takes the place of what has that name: neither the rights of an
 * older file nor the target of a link are used.
 */
export function writePrivate(file: string, content: string): void {
  const temporary = `${file}.${process.pid}`;
  // Of a process of the same id that died here.
  rmSync(temporary, { force: true });
  writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' });
  renameSync(temporary, file);
}
