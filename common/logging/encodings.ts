/** Shorter stretches of Base64 say too little to be looked for. */
const SHORTEST_BASE64 = 8;
/** How `base64` and OpenSSL break lines. */
const BASE64_LINES = [76, 64];

/** The forms in which scripts like to print a secret: Base64 wherever it begins, URL, JSON. */
export function encodings(secret: string): string[] {
  const base64 = [0, 1, 2].map((offset) => innerBase64(secret, offset));
  const [aligned = ''] = base64;
  const broken = BASE64_LINES.flatMap((length) => aligned.match(new RegExp(`.{1,${length}}`, 'g')) ?? []);
  const all = [...base64, ...broken].filter((form) => form.length >= SHORTEST_BASE64);
  const forUrls = all.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'));
  return [...all, ...forUrls, encodeURIComponent(Buffer.from(secret).toString()), JSON.stringify(secret).slice(1, -1)];
}

/** The characters that a secret decides alone when so many bytes modulo 3 stand before it, and anything after it. */
function innerBase64(secret: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
  const known = bytes.toString('base64').slice(0, Math.floor((bytes.length * 8) / 6));
  return known.slice(Math.ceil((offset * 8) / 6));
}
