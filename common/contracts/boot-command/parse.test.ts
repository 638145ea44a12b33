import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { secretReference } from '../module/secret-text.ts';
import { type BootEvent, checkBootCommand, parseBootCommand } from './parse.ts';

interface Vector {
  readonly input: string;
  readonly parseError?: string;
  readonly validationErrors?: string[];
  readonly waitNs?: number;
  readonly vnc?: string[];
}

const vectors = readFileSync(new URL('./vectors.jsonl', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line): Vector => JSON.parse(line));

/** Inputs for which Slipway decides otherwise than Packer, with Slipway's keys. */
const DIFFERENT_ON_PURPOSE: Readonly<Record<string, string[]>> = {
  '<backspace>': ['+FF08', '-FF08'],
  '<space>': ['+20', '-20'],
  '<escape>': ['+FF1B', '-FF1B'],
  '\n': ['+FF0D', '-FF0D'],
  'a\r\nb': ['+61', '-61', '+FF0D', '-FF0D', '+FF0D', '-FF0D', '+62', '-62'],
  '€': ['+10020AC', '-10020AC'],
  '😀': ['+101F600', '-101F600'],
  Ω: ['+FFE1', '+10003A9', '-10003A9', '-FFE1'],
  ﬁ: ['+100FB01', '-100FB01'],
  'A\u0301': ['+FFE1', '+41', '-41', '-FFE1', '+1000301', '-1000301'],
};

function keysOf(events: readonly BootEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'key' ? [`${event.down ? '+' : '-'}${event.keysym.toString(16).toUpperCase()}`] : [],
  );
}

function typed(...strings: string[]) {
  const result = parseBootCommand(strings);
  if ('error' in result) throw new Error(result.error);
  return result;
}

describe("Packer's vectors", () => {
  test.each(vectors)('$input', (vector) => {
    const result = parseBootCommand([vector.input]);
    if (vector.parseError || vector.validationErrors) {
      expect(result).toEqual({ error: expect.stringContaining(vector.input) });
      return;
    }
    const { events } = typed(vector.input);
    const waitMs = events.reduce((sum, event) => sum + (event.type === 'wait' ? event.ms : 0), 0);
    expect(Math.round(waitMs * 1e6)).toBe(vector.waitNs ?? 0);
    const packers = (vector.vnc ?? []).map((key) => (key === '+754C' || key === '-754C' ? `${key[0]}100754C` : key));
    expect(keysOf(events)).toEqual(DIFFERENT_ON_PURPOSE[vector.input] ?? packers);
  });

  it('differ from Slipway only as listed', () => {
    for (const [input, keys] of Object.entries(DIFFERENT_ON_PURPOSE)) {
      expect(vectors.find((vector) => vector.input === input)?.vnc, input).not.toEqual(keys);
    }
  });
});

describe('parseBootCommand', () => {
  it('joins the strings before it looks for tags', () => {
    expect(keysOf(typed('<ent', 'er>').events)).toEqual(['+FF0D', '-FF0D']);
    expect(typed()).toEqual({ events: [], warnings: [] });
  });

  it('keeps a Shift that the user holds through shifted literals', () => {
    expect(keysOf(typed('<leftShiftOn>Ab<leftShiftOff>C').events)).toEqual(
      ['+FFE1', '+41', '-41', '+62', '-62', '-FFE1', '+FFE1', '+43', '-43', '-FFE1'], // the last letter brings its own
    );
  });

  it('refuses a wait of nothing, in every spelling', () => {
    for (const input of ['<wait0>', '<wait0s>', '<wait-0s>', '<wait99999999999>']) {
      expect(parseBootCommand([input]), input).toHaveProperty('error');
    }
  });

  test.each([
    ['<foo>', ['"<foo>" is not a key of the boot command grammar and is typed literally']],
    [
      '<wait 5>',
      ['"<wait 5>" is not a key of the boot command grammar and is typed literally; did you mean "<wait5>"?'],
    ],
    [
      '< enter>',
      ['"< enter>" is not a key of the boot command grammar and is typed literally; did you mean "<enter>"?'],
    ],
    ['<leftCtrlOn>c', ['"<leftctrlOn>" is never released by "<leftctrlOff>"']],
    ['a < b, c > d, <<on><<off>enter>', []],
  ])('warns about %s', (input, warnings) => {
    expect(typed(input).warnings).toEqual(warnings);
  });
});

describe('checkBootCommand', () => {
  it('names the string in which each finding starts', () => {
    const findings = checkBootCommand(['<enter>', '<nope>{{ .HTTPIP }}', '{{ .Host }}<wait0>']);
    expect(findings.map(({ severity, element }) => [severity, element])).toEqual([
      ['warning', 1],
      ['error', 2],
      ['error', 2],
    ]);
  });
});

it('types a secret character by character, also where the grammar has another meaning for it', () => {
  const typed = parseBootCommand([`a<enter>${secretReference('pw')}<wait2>`], () => 'A<enter>');
  const plain = (characters: string) => [...characters].flatMap((one) => events(parseBootCommand([one])));
  expect(events(typed)).toEqual([
    ...plain('a'),
    ...events(parseBootCommand(['<enter>'])),
    ...plain('A<enter>'),
    ...events(parseBootCommand(['<wait2>'])),
  ]);
  expect(checkBootCommand([`<${secretReference('pw')}>`])).toEqual([]);
});

function events(result: ReturnType<typeof parseBootCommand>) {
  return 'events' in result ? result.events : [];
}
