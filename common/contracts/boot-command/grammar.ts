import { secretAt, secretReference } from '../module/secret-text.ts';
import { SPECIAL_KEYSYMS } from './keysyms.ts';

/** One action of a boot command. `offset` counts UTF-16 units from the start of the text. */
export type BootToken =
  | { readonly kind: 'wait'; readonly offset: number; readonly ms: number }
  | { readonly kind: 'special'; readonly offset: number; readonly keysym: number; readonly stroke: Stroke }
  | { readonly kind: 'literal'; readonly offset: number; readonly character: string; readonly stroke: Stroke };

export type Stroke = 'press' | 'on' | 'off';

/** Something wrong with a boot command: errors can never be typed, warnings are typed literally. */
export interface BootFinding {
  readonly severity: 'error' | 'warning';
  readonly offset: number;
  readonly message: string;
}

const NUMBER = String.raw`(?:0|[1-9]\d*)`;
const COMPONENT = String.raw`-?${NUMBER}(?:\.\d+)?(?:ns|us|\u00b5s|ms|s|m|h)`;
const WAIT = new RegExp(`<wait((?:${COMPONENT})+|${NUMBER})?>`, 'y');
const CHARACTER_STROKE = /<(.)(on|off)>/isuy;
const NAMES_LONGEST_FIRST = Object.keys(SPECIAL_KEYSYMS).sort((a, b) => b.length - a.length);
const SPECIAL = new RegExp(`<(${NAMES_LONGEST_FIRST.join('|')})(on|off)?>`, 'iy');
/** Text that resembles a tag but is not one in the grammar. */
const LOOKS_LIKE_TAG = /<(\s*[a-z][a-z0-9.+\-µμ ]*)>/iy;

/** A key or a wait whose `>` is missing, at the end of a word. */
const LACKS_END = new RegExp(`<(wait[0-9]*[smh]*|(?:${NAMES_LONGEST_FIRST.join('|')})(?:on|off)?)(?=[\\s<]|$)`, 'iy');

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
/** Go keeps durations in 64 bits of nanoseconds. */
const LONGEST_NS = 2 ** 63;

/**
 * Cuts a boot command into tokens by Packer's grammar (packer-plugin-sdk, `bootcommand`): at each place a wait, then
 * `<cOn>`/`<cOff>` of any character, then a special key, else one literal character. The grammar has no escape. The characters
 * of a secret are always literal.
 */
export function scanBootCommand(
  text: string,
  secretValue: (secret: string) => string = () => '',
): { tokens: BootToken[]; findings: BootFinding[] } {
  const tokens: BootToken[] = [];
  const findings: BootFinding[] = [];
  let offset = 0;
  while (offset < text.length) {
    const secret = secretAt(text, offset);
    if (secret !== undefined) {
      for (const character of secretValue(secret)) tokens.push({ kind: 'literal', offset, character, stroke: 'press' });
      offset += secretReference(secret).length;
      continue;
    }
    const isTag = text[offset] === '<';
    const wait = isTag ? matchAt(WAIT, text, offset) : null;
    const tag = !isTag ? null : (wait ?? matchAt(CHARACTER_STROKE, text, offset) ?? matchAt(SPECIAL, text, offset));
    if (wait) {
      const ms = waitMs(wait[1]);
      if (typeof ms === 'number') tokens.push({ kind: 'wait', offset, ms });
      else findings.push({ severity: 'error', offset, message: `"${wait[0]}" ${ms.complaint}` });
    } else if (tag) {
      tokens.push(keyToken(tag, offset));
    } else if (isTag) {
      const message = complaintAboutText(text, offset);
      if (message !== undefined) findings.push({ severity: 'warning', offset, message });
    }
    if (tag) {
      offset += tag[0].length;
      continue;
    }
    const character = String.fromCodePoint(text.codePointAt(offset) ?? 0);
    tokens.push({ kind: 'literal', offset, character, stroke: 'press' });
    offset += character.length;
  }
  return { tokens, findings };
}

function matchAt(sticky: RegExp, text: string, offset: number): RegExpExecArray | null {
  sticky.lastIndex = offset;
  return sticky.exec(text);
}

/** For a `<` that begins no tag, but something that resembles one. */
function complaintAboutText(text: string, offset: number): string | undefined {
  const lookalike = matchAt(LOOKS_LIKE_TAG, text, offset);
  if (lookalike) return describeLookalike(lookalike[0]);
  const open = matchAt(LACKS_END, text, offset);
  return open ? `"${open[0]}" has no ">" and is typed literally; did you mean "${open[0]}>"?` : undefined;
}

function keyToken(tag: RegExpExecArray, offset: number): BootToken {
  const [, key = '', suffix] = tag;
  const stroke = suffix === undefined ? 'press' : suffix.toLowerCase() === 'on' ? 'on' : 'off';
  const keysym = [...key].length === 1 ? undefined : SPECIAL_KEYSYMS[key.toLowerCase()];
  return keysym === undefined
    ? { kind: 'literal', offset, character: key, stroke }
    : { kind: 'special', offset, keysym, stroke };
}

/** A bare number means seconds; an empty one means one second. */
function waitMs(amount: string | undefined): number | { complaint: string } {
  if (amount === undefined) return 1000;
  const seconds = /^\d+$/.test(amount);
  if (!seconds && amount.lastIndexOf('-') > 0) return { complaint: 'has a sign inside the duration' };
  const components = amount.matchAll(/(\d+(?:\.\d+)?)([a-zµ]+)/g);
  let ns = seconds ? Number(amount) * 1e9 : 0;
  if (!seconds) for (const [, number, unit = ''] of components) ns += Number(number) * (UNIT_NS[unit] ?? 0);
  if (ns >= LONGEST_NS) return { complaint: 'is longer than a duration can be' };
  if (ns <= 0 || amount.startsWith('-')) return { complaint: 'must wait longer than zero' };
  return ns / 1e6;
}

/** Names that other tools have for keys. */
const SYNONYMS: Readonly<Record<string, string>> = {
  alt: 'leftAlt',
  altgr: 'rightAlt',
  bksp: 'bs',
  cmd: 'leftSuper',
  command: 'leftSuper',
  control: 'leftCtrl',
  cr: 'enter',
  ctrl: 'leftCtrl',
  ins: 'insert',
  meta: 'leftSuper',
  pgdn: 'pageDown',
  pgdown: 'pageDown',
  pgup: 'pageUp',
  ret: 'enter',
  shift: 'leftShift',
  sleep: 'wait',
  super: 'leftSuper',
  win: 'leftSuper',
  windows: 'leftSuper',
};

function describeLookalike(tag: string): string {
  const known = tag.replaceAll(' ', '').toLowerCase();
  const [, word = '', rest = ''] = /^<([a-z]+?)((?:on|off|[-+].|\d\w*)?)>$/.exec(known) ?? [];
  const meant = Object.hasOwn(SYNONYMS, word) ? `<${SYNONYMS[word]}${strokeOf(rest)}>` : known;
  const isKnown = matchAt(WAIT, meant, 0) ?? matchAt(SPECIAL, meant, 0);
  const hint = isKnown ? `; did you mean "${meant}"?` : '';
  return `"${tag}" is not a key of the boot command grammar and is typed literally${hint}`;
}

/** `<ctrl-c>` is written as `<leftCtrlOn>c<leftCtrlOff>`. */
function strokeOf(rest: string): string {
  if (rest === 'on') return 'On';
  return rest === 'off' ? 'Off' : rest.replace(/^[-+].$/, 'On');
}
