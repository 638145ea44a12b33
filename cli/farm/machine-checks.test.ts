import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { inspectMachine } from './machine-checks.ts';

afterEach(() => vi.unstubAllEnvs());

const check = (requested: string) => inspectMachine('/tmp').find(({ name }) => name === requested);

test('what setup installs is found', () => {
  for (const name of ['qemu-system-x86_64', 'OVMF', 'OVMF secure boot', 'swtpm']) {
    expect(check(name)).toMatchObject({ name, state: 'ok' });
  }
});

test('where namespaces are forbidden machines run, and doctor reports the effect', () => {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bwrap-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, 'bwrap'),
    '#!/bin/sh\necho "bwrap: No permissions to create new namespace" >&2\nexit 1\n',
    {
      mode: 0o755,
    },
  );
  expect(check('confinement')?.state).toBe('ok');
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  expect(check('confinement')).toEqual({
    name: 'confinement',
    state: 'limited',
    message: expect.stringMatching(/run as root and see its files.*: bwrap: No permissions to create new namespace$/),
  });
});

test('without swtpm only modules with a TPM cannot start, without QEMU none can', () => {
  vi.stubEnv('PATH', '/nowhere');
  expect(check('swtpm')).toEqual({
    name: 'swtpm',
    state: 'limited',
    message: 'modules with efiFirmware.tpm cannot start: npm run setup',
  });
  expect(check('qemu-system-x86_64')?.state).toBe('missing');
});
