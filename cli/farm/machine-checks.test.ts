import { afterEach, expect, test, vi } from 'vitest';
import { inspectMachine } from './machine-checks.ts';

afterEach(() => vi.unstubAllEnvs());

const check = (wanted: string) => inspectMachine('/tmp').find(({ name }) => name === wanted);

test('what setup installs is found', () => {
  for (const name of ['qemu-system-x86_64', 'OVMF', 'OVMF secure boot', 'swtpm']) {
    expect(check(name)).toMatchObject({ name, state: 'ok' });
  }
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
