import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { describeOptions, loadConfig } from './load-config.ts';
import { createFarmKey, loadFarmKey } from './sealing.ts';

const folder = mkdtempSync(join(tmpdir(), 'slipway-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(text: string): string {
  const file = join(folder, 'farm.yaml');
  writeFileSync(file, text);
  return file;
}

describe('loadConfig', () => {
  test('needs nothing, and gives durations as milliseconds and sizes as bytes', () => {
    const config = loadConfig({ SLIPWAY_CLUSTERS: '[{name: lab, limits: {vms: 2}}]' });
    expect(config.retention.failure).toBe(1_800_000);
    const { fetch } = loadConfig({ SLIPWAY_FETCH_ALLOWED_ADDRESSES: '[10.1.0.0/16, "media.lan:8080"]' });
    expect(fetch.allowedAddresses).toEqual(['10.1.0.0/16', 'media.lan:8080']);
    expect(config.clusters[0]?.limits).toEqual({ imports: 4, vms: 2, cpu: 16, memory: 32 * 1024 ** 3 });
  });

  test('lets a variable win over the file', () => {
    const file = write('redis: {url: "redis://file:1"}\nretention: {failure: "0"}\n');
    const config = loadConfig({ SLIPWAY_CONFIG: file, SLIPWAY_REDIS_URL: 'redis://variable:2' });
    expect(config.redis.url).toBe('redis://variable:2');
    expect(config.retention.failure).toBe(0);
  });

  test.each([
    ['http: {prot: 1}', /prot/],
    ['retention: {failure: 5 minutes}', /retention.failure: "5 minutes" is not a duration/],
    ['clusters: [{name: Not A Label}]', /clusters.0.name/],
    ['clusters: [{name: lab}, {name: lab}]', /clusters: two clusters have one name/],
    ['redis: {sentinels: ["a:1"], cluster: ["b:1"]}', /redis.cluster: .* redis.sentinels or redis.cluster, not both/],
    ['redis: {url: "redis://x/3", cluster: ["b:1"]}', /redis.url: A Redis Cluster has only the database 0/],
    ['fetch: {allowedAddresses: [10.0.0.0/40]}', /fetch.allowedAddresses.0: "10.0.0.0\/40" is not an address/],
  ])('names what is wrong in %s', (text, message) => {
    expect(() => loadConfig({ SLIPWAY_CONFIG: write(text) })).toThrow(message);
  });
});

test('every option has a description', () => {
  expect(describeOptions().filter((option) => option.description === '')).toEqual([]);
});

describe('the farm key', () => {
  const key = createFarmKey('a key of the farm');

  test('opens what it sealed, and nothing else', () => {
    expect(key.open(key.seal('pass word'))).toBe('pass word');
    expect(() => createFarmKey('another').open(key.seal('pass word'))).toThrow('another farm key');
  });

  test('has enough bytes', () => {
    const directory = mkdtempSync(join(tmpdir(), 'slipway-key-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'key');
    writeFileSync(file, 'x'.repeat(31));
    expect(() => loadFarmKey(file)).toThrow(`The farm key in ${file} has 31 bytes, and at least 32 are needed.`);
    expect(() => loadFarmKey(undefined)).toThrow('The option farm.keyFile is not set');
    writeFileSync(file, 'x'.repeat(32));
    expect(loadFarmKey(file).fingerprint('x')).toHaveLength(64);
  });

  test('prints a secret the same way every time, sealing never', () => {
    expect(key.fingerprint('x')).toBe(key.fingerprint('x'));
    expect(key.seal('x')).not.toBe(key.seal('x'));
  });
});
