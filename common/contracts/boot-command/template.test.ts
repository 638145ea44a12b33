import { expect, it } from 'vitest';
import { fillTemplate } from './template.ts';

const values = { HTTPIP: '10.0.2.3', HTTPPort: '8080' };

it('fills every spacing and leaves other braces alone', () => {
  expect(fillTemplate('http://{{ .HTTPIP }}:{{.HTTPPort}}/{{  .HTTPIP}} {{ item }} {x}', values)).toBe(
    'http://10.0.2.3:8080/10.0.2.3 {{ item }} {x}',
  );
});

it('never fills a value a second time, nor reads replacement patterns in it', () => {
  expect(fillTemplate('{{ .A }}', { A: '{{ .A }} $& $1' })).toBe('{{ .A }} $& $1');
});

it('refuses an unknown name, or keeps it when asked', () => {
  expect(() => fillTemplate('{{ .Nope }}', values)).toThrow('Unknown template value "Nope"');
  expect(() => fillTemplate('{{ .constructor }}', values)).toThrow('constructor');
  expect(fillTemplate('{{ .Nope }} {{ .HTTPIP }}', values, 'keep')).toBe('{{ .Nope }} 10.0.2.3');
});
