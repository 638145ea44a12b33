import { readFileSync } from 'node:fs';
import { packagePath } from './package-root.ts';

/** Header of the answers of a farm to callers that it knows: its version. */
export const VERSION_HEADER = 'slipway-version';

/** The version of this program, from package.json. */
export function readVersion(): string {
  const { version }: { version?: string } = JSON.parse(readFileSync(packagePath('package.json'), 'utf8'));
  return version ?? 'unknown';
}
