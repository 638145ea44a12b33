/** X11 keysyms, as RFB key events carry them (X11 `keysymdef.h`, RFC 6143 section 7.5.4). */

export const SHIFT_KEYSYMS = { left: 0xffe1, right: 0xffe2 } as const;

const FUNCTION_KEYS = Array.from({ length: 12 }, (_, index) => [`f${index + 1}`, 0xffbe + index] as const);

/**
 * The special keys of Packer's grammar, by lower-case name, and the four aliases of the RudderVirt dialect.
 * Command is Alt and Option is Meta: that is what macOS's VNC server makes of them.
 */
export const SPECIAL_KEYSYMS: Readonly<Record<string, number>> = {
  bs: 0xff08,
  backspace: 0xff08,
  tab: 0xff09,
  enter: 0xff0d,
  return: 0xff0d,
  esc: 0xff1b,
  escape: 0xff1b,
  home: 0xff50,
  left: 0xff51,
  up: 0xff52,
  right: 0xff53,
  down: 0xff54,
  pageup: 0xff55,
  pagedown: 0xff56,
  end: 0xff57,
  insert: 0xff63,
  menu: 0xff67,
  ...Object.fromEntries(FUNCTION_KEYS),
  leftshift: SHIFT_KEYSYMS.left,
  rightshift: SHIFT_KEYSYMS.right,
  leftctrl: 0xffe3,
  rightctrl: 0xffe4,
  leftoption: 0xffe7,
  rightoption: 0xffe8,
  leftalt: 0xffe9,
  rightalt: 0xffea,
  leftcommand: 0xffe9,
  rightcommand: 0xffea,
  leftsuper: 0xffeb,
  rightsuper: 0xffec,
  del: 0xffff,
  delete: 0xffff,
  spacebar: 0x20,
  space: 0x20,
};

const CONTROL_KEYSYMS: Readonly<Record<string, number>> = { '\n': 0xff0d, '\r': 0xff0d, '\t': 0xff09 };

/** X11 adds this to code points beyond Latin-1. */
const UNICODE_OFFSET = 0x0100_0000;

/** The keysym that types one literal character (one code point). */
export function literalKeysym(character: string): number {
  const codePoint = character.codePointAt(0) ?? 0;
  return CONTROL_KEYSYMS[character] ?? (codePoint <= 0xff ? codePoint : UNICODE_OFFSET + codePoint);
}

/** Whether Packer holds Shift while it types the character: upper case in Unicode, or shifted on a US keyboard. */
export function isShifted(character: string): boolean {
  return /^(\p{Lu}|[~!@#$%^&*()_+{}|:"<>?])$/u.test(character);
}
