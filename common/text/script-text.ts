/** Why a shell cannot read the beginning of a file, such as `in UTF-16`; undefined when it can. */
export function otherThanText(head: Uint8Array): string | undefined {
  const [first = 0, second = 0] = head;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isUtf16) return 'in UTF-16';
  if (head.includes(0)) return 'a program or other binary content';
  try {
    // The last character may be cut off.
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return undefined;
  } catch {
    return 'not in UTF-8';
  }
}

/** How to mend it. */
export const SCRIPT_REMEDY =
  'save it in UTF-8; put a program, or a script with binary content, into the guest by a step of type file, and start it there';
