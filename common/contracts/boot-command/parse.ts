import { codeOf } from '../module/characters.ts';
import { type BootFinding, type BootToken, type Stroke, scanBootCommand } from './grammar.ts';
import { isShifted, literalKeysym, SHIFT_KEYSYMS, SPECIAL_KEYSYMS } from './keysyms.ts';
import { otherTemplates, templateNames } from './template.ts';

/** One thing to do at the console: press or release a key (X11 keysym), or let `ms` milliseconds pass. */
export type BootEvent =
  | { readonly type: 'key'; readonly keysym: number; readonly down: boolean }
  | { readonly type: 'wait'; readonly ms: number };

/** The events of a boot command with its warnings, or the reason why it cannot be typed. */
export type BootCommandResult =
  | { readonly events: readonly BootEvent[]; readonly warnings: readonly string[] }
  | { readonly error: string };

/** The values that are known when a boot command is typed. */
export const BOOT_TEMPLATE_NAMES = ['HTTPIP', 'HTTPPort', 'Name', 'SSHPublicKey'] as const;

/**
 * Turns a boot command into key events in Packer's order. The strings are joined without a separator first, so a tag may
 * straddle two of them. Templates are not filled: fill them before (`fillTemplate`).
 * On purpose unlike Packer: a Shift that the user holds is not released by a shifted literal; LF and CR type Return and
 * TAB types Tab; characters beyond Latin-1 use X11's Unicode keysyms; `<wait0>` is an error. References to secrets are
 * typed as what `secretValue` gives, character by character.
 */
export function parseBootCommand(
  strings: readonly string[],
  secretValue?: (secret: string) => string,
): BootCommandResult {
  const { tokens, findings } = scanBootCommand(strings.join(''), secretValue);
  const error = findings.find((finding) => finding.severity === 'error');
  if (error) return { error: error.message };
  const { events, heldAtEnd } = eventsOf(tokens);
  return { events, warnings: [...findings.map((finding) => finding.message), ...heldAtEnd] };
}

/** A finding with the string of the list that it starts in. */
export interface BootCommandFinding {
  readonly severity: 'error' | 'warning';
  /** Index in the list of strings. */
  readonly element: number;
  readonly message: string;
}

/** How long a boot command waits in all, in milliseconds. */
export function bootWaitMs(strings: readonly string[]): number {
  const text = strings.join('');
  const { tokens } = scanBootCommand(text.length > MAX_CHARACTERS ? '' : text);
  return tokens.reduce((sum, token) => (token.kind === 'wait' ? sum + token.ms : sum), 0);
}

/** Typing more would take too long, and each character becomes events. */
const MAX_CHARACTERS = 100_000;
/** Characters in one message. */
const MOST_NAMED = 10;

/** Everything wrong with a boot command before its templates are filled, with the place. */
export function checkBootCommand(strings: readonly string[]): BootCommandFinding[] {
  const text = strings.join('');
  if (text.length > MAX_CHARACTERS) {
    const message = `has ${text.length} characters: at most ${MAX_CHARACTERS} can be typed`;
    return [{ severity: 'error', element: 0, message }];
  }
  const { tokens, findings } = scanBootCommand(text);
  const known: readonly string[] = BOOT_TEMPLATE_NAMES;
  const templates = templateNames(text)
    .filter(({ name }) => !known.includes(name))
    .map(({ name, offset }): BootFinding => {
      const message = `unknown template value "${name}"; expected one of ${known.join(', ')}`;
      return { severity: 'error', offset, message };
    });
  const held = eventsOf(tokens).heldAtEnd.map(
    (message): BootFinding => ({ severity: 'warning', offset: text.length, message }),
  );
  const others = otherTemplates(text).map(({ written, offset }): BootFinding => {
    const word = written.replaceAll(/[^A-Za-z]/g, '').toLowerCase();
    const meant = known.find((name) => name.toLowerCase() === word);
    const remedy =
      meant === undefined
        ? `of Packer's templates only {{ .Name }} of ${known.join(', ')} is filled; write \${var.NAME} for values of your own`
        : `write {{ .${meant} }}`;
    return { severity: 'warning', offset, message: `"${written}" is typed as it is: ${remedy}` };
  });
  const elementAt = elementFinder(strings);
  return [...findings, ...templates, ...others, ...foreignCharacters(tokens), ...held].map(
    ({ severity, offset, message }) => ({
      severity,
      element: elementAt(offset),
      message,
    }),
  );
}

/** QEMU gives guests the keys of a US keyboard and drops a character that is on none of them. */
function foreignCharacters(tokens: readonly BootToken[]): BootFinding[] {
  const foreign = tokens.flatMap((token) =>
    token.kind === 'literal' && !/[\0\n\r\t -~]/.test(token.character) ? [token] : [],
  );
  const [first] = foreign;
  if (!first) return [];
  const named = [
    ...new Set(foreign.map(({ character }) => (/\p{Cc}/u.test(character) ? codeOf(character) : character))),
  ];
  const characters = named.slice(0, MOST_NAMED).join('');
  const message = `no key of a US keyboard types "${characters}": such characters do not reach the guest`;
  return [{ severity: 'warning', offset: first.offset, message }];
}

/** Returns the string that contains an offset of the joined text; beyond the end, the last one. */
function elementFinder(strings: readonly string[]): (offset: number) => number {
  let end = 0;
  const ends = strings.map((string) => (end += string.length));
  return (offset) => {
    let [low, high] = [0, Math.max(0, strings.length - 1)];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offset < (ends[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

function eventsOf(tokens: readonly BootToken[]): { events: BootEvent[]; heldAtEnd: string[] } {
  const events: BootEvent[] = [];
  const held = new Map<number, string>();
  const key = (keysym: number, down: boolean) => events.push({ type: 'key', keysym, down });
  const stroke = (keysym: number, how: Stroke) => {
    if (how !== 'off') key(keysym, true);
    if (how !== 'on') key(keysym, false);
  };
  for (const token of tokens) {
    if (token.kind === 'wait') {
      events.push({ type: 'wait', ms: token.ms });
      continue;
    }
    const keysym = token.kind === 'special' ? token.keysym : literalKeysym(token.character);
    const ownShift =
      token.kind === 'literal' &&
      isShifted(token.character) &&
      !held.has(SHIFT_KEYSYMS.left) &&
      !held.has(SHIFT_KEYSYMS.right);
    if (ownShift && token.stroke !== 'off') key(SHIFT_KEYSYMS.left, true);
    stroke(keysym, token.stroke);
    if (ownShift && token.stroke !== 'on') key(SHIFT_KEYSYMS.left, false);
    if (token.stroke === 'on') held.set(keysym, token.kind === 'literal' ? token.character : specialName(keysym));
    else held.delete(keysym);
  }
  const heldAtEnd = [...held.values()].map((name) => `"<${name}On>" is never released by "<${name}Off>"`);
  return { events, heldAtEnd };
}

function specialName(keysym: number): string {
  return Object.keys(SPECIAL_KEYSYMS).find((name) => SPECIAL_KEYSYMS[name] === keysym) ?? '';
}
