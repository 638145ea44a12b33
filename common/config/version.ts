import { readFileSync } from 'node:fs';
import { packagePath } from './package-root.ts';

/** The version of this program, from package.json. */
export function readVersion(): string {
  const { version }: { version?: string } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));
  return version ?? 'unknown';
}
