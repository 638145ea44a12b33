import { expect, test } from 'vitest';
import { YamlBudget } from '../module/yaml-limits.ts';
import { checkNetworkData } from './check-network-data.ts';
import { readYaml11 } from './yaml-1-1.ts';

// Each as `yaml.safe_load` of PyYAML 6 reads it.
test.each<[text: string, value?: number | boolean]>([
  ...['e0', 'E5', '12e3', '1e3', '.e5', '-e0', '.', '09', '0o17', 'y', 'N', '_1', 'nan', '-.5'].map(
    (text): [string] => [text],
  ),
  ['1.e+3', 1000],
  ['.5e+1', 5],
  ['1.', 1],
  ['.5', 0.5],
  ['012', 10],
  ['0x1F', 31],
  ['1_000', 1000],
  ['1:30', 90],
  ['0', 0],
  ['-.inf', Number.NEGATIVE_INFINITY],
  ['Yes', true],
  ['off', false],
])('%s is read as PyYAML reads it', (text, value) => {
  expect(readYaml11(`key: ${text}\n`, new YamlBudget())).toMatchObject({ findings: [], value: { key: value ?? text } });
});

test('a network card may be called e0', () => {
  const networkData = 'version: 2\nethernets:\n  e0: { dhcp4: true }\n';
  expect(checkNetworkData(networkData, new YamlBudget())).toEqual([]);
  expect(checkNetworkData(networkData.replace('{ dhcp4: true }', ''), new YamlBudget())).toMatchObject([
    { line: 3, message: 'ethernets.e0: has no value: write a map of keys and values, or remove the key' },
  ]);
});
