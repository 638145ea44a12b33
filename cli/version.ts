import { existsSync, readFileSync } from 'node:fs';

/** The version in package.json, which lies above the sources and further above the compiled program. */
export function readVersion(): string {
  const file = ['../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url));
  const { version }: { version?: string } = file ? JSON.parse(readFileSync(file, 'utf8')) : {};
  return version ?? 'unknown';
}
