import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadToken } from './load-token.ts';

test('reads a token without the newline of its file, and refuses what is not protection', () => {
  const directory = mkdtempSync(join(tmpdir(), 'slipway-token-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'token');
  writeFileSync(file, 'sixteen letters!\n');
  expect(loadToken(file)).toBe('sixteen letters!');
  writeFileSync(file, 'fifteen letters\n');
  expect(() => loadToken(file)).toThrow(
    expect.objectContaining({
      code: 'InvalidConfig',
      message: `The token in ${file} has 15 characters, and at least 16 are needed.`,
    }),
  );
  expect(() => loadToken(join(directory, 'none'))).toThrow(expect.objectContaining({ code: 'InvalidConfig' }));
});
