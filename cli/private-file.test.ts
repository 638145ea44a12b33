import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writePrivate } from './private-file.ts';

test('a private file takes neither the rights of an older one nor the target of a link', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-private-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [open, target, link] = ['open', 'target', 'link'].map((name) => join(folder, name)) as [string, string, string];
  writeFileSync(open, 'old');
  chmodSync(open, 0o644);
  writeFileSync(target, 'of somebody else');
  symlinkSync(target, link);
  for (const file of [open, link]) {
    writePrivate(file, 'a key');
    expect({ content: readFileSync(file, 'utf8'), mode: statSync(file).mode & 0o777 }).toEqual({
      content: 'a key',
      mode: 0o600,
    });
  }
  expect(readFileSync(target, 'utf8')).toBe('of somebody else');
});
