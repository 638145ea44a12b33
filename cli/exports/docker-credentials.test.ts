import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { dockerCredentials } from './docker-credentials.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

function configured(config: unknown): { readonly DOCKER_CONFIG: string } {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-docker-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  return { DOCKER_CONFIG: folder };
}

/** A credential helper of Docker's, on the PATH of this process. */
function helper(script: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-helper-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'docker-credential-vault'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, 'docker-credential-vault'), 0o755);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  onTestFinished(() => void vi.unstubAllEnvs());
}

test('reads what docker login has written, for Docker Hub under its own name', () => {
  const environment = configured({
    auths: {
      'registry.lan:5000': { auth: base64('me:pass:word') },
      'https://index.docker.io/v1/': { auth: base64('hub:token') },
    },
  });
  expect(dockerCredentials('registry.lan:5000', environment)).toEqual({ username: 'me', password: 'pass:word' });
  expect(dockerCredentials('docker.io', environment)).toEqual({ username: 'hub', password: 'token' });
  expect(dockerCredentials('quay.io', environment)).toBeUndefined();
  expect(dockerCredentials('quay.io', { DOCKER_CONFIG: '/nonexistent' })).toBeUndefined();
});

test('asks the helper that the configuration names', () => {
  helper('read -r registry; printf \'{"Username":"u","Secret":"of %s"}\' "$registry"');
  const environment = configured({ credHelpers: { 'quay.io': 'vault' } });
  expect(dockerCredentials('quay.io', environment)).toEqual({ username: 'u', password: 'of quay.io' });
  const store = configured({ credsStore: 'vault' });
  expect(dockerCredentials('docker.io', store)?.password).toBe('of https://index.docker.io/v1/');
});

test('a helper without credentials is like none, and one that fails is named', () => {
  helper('echo "credentials not found in native keychain"; exit 1');
  const environment = configured({ credsStore: 'vault', auths: { 'quay.io': { auth: base64('a:b') } } });
  expect(dockerCredentials('quay.io', environment)).toEqual({ username: 'a', password: 'b' });
  helper('echo locked; exit 2');
  expect(() => dockerCredentials('quay.io', environment)).toThrow('docker-credential-vault returned no credentials');
  helper('echo \'{"Username":"<token>","Secret":"x"}\'');
  expect(() => dockerCredentials('quay.io', environment)).toThrow('identity token');
  const missing = configured({ credsStore: 'not-installed' });
  expect(() => dockerCredentials('quay.io', missing)).toThrow('docker-credential-not-installed');
});

test('names the invalid file without quoting its content', () => {
  const broken = configured('{"auths": "hunter2"');
  expect(() => dockerCredentials('quay.io', broken)).toThrow(/config\.json is not a Docker configuration/);
  const empty = configured({ auths: { 'quay.io': { auth: base64('hunter2') } } });
  expect(() => dockerCredentials('quay.io', empty)).toThrow(/is not USER:PASSWORD in Base64/);
  expect(() => dockerCredentials('quay.io', empty)).not.toThrow(/hunter2/);
});
