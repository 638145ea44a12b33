import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** Names the folder in which embedded clusters of a test run write what they were asked, one audit log each. */
export const RECORDINGS = 'SLIPWAY_TEST_RECORDINGS';

/**
 * Before the first test of a run (vitest's globalSetup): a fresh folder, removed after the last one. A folder that the
 * variable names already is used and kept, so that recordings of several runs add up.
 */
export function setup(): () => void {
  if (process.env[RECORDINGS] !== undefined) return () => {};
  const folder = mkdtempSync(join(tmpdir(), 'slipway-recordings-'));
  process.env[RECORDINGS] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}

/** Arguments that make the cluster in `dataDir` record; none outside of a test run. */
export function recordingArguments(dataDir: string): readonly string[] {
  const folder = process.env[RECORDINGS];
  return folder === undefined ? [] : ['--audit-log', join(folder, `${basename(dataDir)}-${process.pid}.jsonl`)];
}
