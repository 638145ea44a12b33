/**
 * The forms in which a text shows a value: as it is, without its quotes and line breaks escaped, and as Base64 wherever
 * in a longer value it begins. Empty when it shows it in none. Its own code, not the masks': it is there to judge them.
 */
export function traces(value: string, text: string): string[] {
  const forms = new Map([
    ['plain', value],
    ['JSON', JSON.stringify(value).slice(1, -1)],
    ['JSON in JSON', JSON.stringify(JSON.stringify(value)).slice(3, -3)],
    ['URL', encodeURIComponent(value)],
    ['hexadecimal', Buffer.from(value).toString('hex')],
  ]);
  for (const before of ['', 'x', 'xx']) {
    const encoded = Buffer.from(before + value).toString('base64');
    const inner = encoded.slice(before === '' ? 0 : 4, Math.floor(encoded.length / 4) * 4 - 4);
    forms.set(`Base64 after ${before.length}`, inner);
    forms.set(`Base64 for URLs after ${before.length}`, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...forms].filter(([, form]) => text.includes(form)).map(([name]) => name);
}
