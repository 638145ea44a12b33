import { expect, it } from 'vitest';
import { createLogger, maskedLogger } from './logger.ts';
import { maskSecrets } from './mask.ts';

it.each([
  ['the value, wherever it is', 'hunter2', 'a hunter2 and hunter2hunter2', 'a *** and ***'],
  ['one of a single character', 'e', 'here', 'h***r***'],
  ['stretches that overlap', 'abab', 'xabababx', 'x***x'],
  ['the longest first', 'pass', 'password pass', '***word ***'],
  ['what is a pattern elsewhere', '$&.*', 'x $&.* y', 'x *** y'],
  ['an asterisk', '*', '* ***', '*** ***'],
  ['the value without the newline of its file', 'hunter2\n', 'a hunter2.', 'a ***.'],
  ['what JSON makes of it', 'a"b\\c', '{"x":"a\\"b\\\\c"}', '{"x":"***"}'],
  ['what a URL makes of it', 'a b/c?', 'https://x/?p=a%20b%2Fc%3F', 'https://x/?p=***'],
  ['the same in small letters', 'a b/c?', 'a%20b%2fc%3f', '***'],
  ["what Python's quote makes of it", "a b/c!'(*)", 'a%20b/c%21%27%28%2A%29', '***'],
  ["what Python's quote_plus makes of it", "a b/c!'~", 'a+b%2Fc%21%27~', '***'],
  ['what a form makes of it', "a b/c!'~*", 'a+b%2Fc%21%27%7E*', '***'],
  ['what curl and jq make of it', "a b!'(~)", 'a%20b%21%27%28~%29', '***'],
])('hides %s', (_what, secret, text, masked) => {
  expect(maskSecrets([secret])(text)).toBe(masked);
});

it('hides each line of a secret with several, but neither brackets nor the frame of a key', () => {
  const mask = maskSecrets(['-----BEGIN KEY-----\n  "inner": 1,\n{\nTHEKEY\n}\n-----END KEY-----\n']);
  expect(['-----BEGIN KEY-----', '{', 'x "inner": 1, y', 'THEKEY'].map((line) => mask(line))).toEqual([
    '-----BEGIN KEY-----',
    '{',
    'x *** y',
    '***',
  ]);
});

it('hides Base64 of the value, wherever in it the value begins and however its lines are broken', () => {
  const secret = 'correct horse battery staple, 23 % of the time, and on and on it goes until lines must break';
  const mask = maskSecrets([secret]);
  for (const before of ['', 'a', 'ab', 'user:']) {
    const text = Buffer.from(`${before}${secret} and more`).toString('base64');
    expect(mask(text)).toMatch(/^.{0,8}\*\*\*.{0,16}$/);
  }
  for (const length of [20, 57, 64, 76]) {
    const lines = Buffer.from(`${secret}\n`)
      .toString('base64')
      .match(new RegExp(`.{1,${length}}`, 'g'));
    for (const line of lines ?? []) expect(mask(line)).toMatch(/^(\*\*\*.{0,5}|.{1,11})$/);
    expect(mask(lines?.join('\r\n') ?? '')).toMatch(/^(\*\*\*(\r\n)?)+.{0,12}$/);
  }
  // Broken where the value is in the middle of more.
  const more = Buffer.from(`user:${secret}, and so on`).toString('base64').replace(/.{40}/g, '$&\n');
  for (const line of mask(more).split('\n').slice(1, -2)) expect(line).toBe('***');
  expect(maskSecrets(['???>>>???>>>'])(Buffer.from('???>>>???>>>').toString('base64url'))).toBe('***');
});

it('hides the half of a secret where a line was cut, and a piece from its middle', () => {
  const mask = maskSecrets(['0123456789']);
  expect(mask('x01234', { end: true })).toBe('x***');
  expect(mask('6789 y', { start: true })).toBe('*** y');
  expect(mask('3456', { start: true, end: true })).toBe('***');
  expect(mask('x01234')).toBe('x01234');
});

it('hides nothing without secrets, and not everything because of an empty one', () => {
  expect(maskSecrets([undefined, '', '\n'])('a\nb')).toBe('a\nb');
});

it('keeps secrets out of the log of a process, errors and their causes too', () => {
  const lines: string[] = [];
  const root = createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } });
  const logger = maskedLogger(root, maskSecrets(['hunter2', 'a"b'])).child({ vm: 'v' });
  const error = new Error('it printed hunter2', { cause: new Error('because of a"b') });
  logger.info({ err: error, output: ['hunter2', { deep: 'a"b' }], count: 1 }, 'It failed');
  logger.info({ err: 'hunter2' }, 'It failed again');
  expect(lines.join('')).not.toMatch(/hunter2|a\\"b/);
  const [first = '', second = ''] = lines;
  expect(JSON.parse(first)).toMatchObject({
    vm: 'v',
    err: { type: 'Error', message: expect.stringContaining('it printed ***') },
    output: ['***', { deep: '***' }],
    count: 1,
    msg: 'It failed',
  });
  expect(JSON.parse(second)).toMatchObject({ err: '***' });
});
