/** Shorter stretches of Base64 are ambiguous and are not searched. */
const SHORTEST_BASE64 = 8;

/** The forms in which scripts like to print a secret, besides Base64: URLs, forms and JSON. */
export function encodings(secret: string): string[] {
  const urls = urlForms(Buffer.from(secret).toString());
  const lower = urls.map((form) => form.replace(/%[\dA-F]{2}/g, (code) => code.toLowerCase()));
  return [...urls, ...lower, JSON.stringify(secret).slice(1, -1)];
}

/** Base64 of a secret, wherever in it the secret begins, and as URLs have it. Its lines may be broken anywhere. */
export function base64Forms(secret: string): string[] {
  const all = [0, 1, 2].map((offset) => innerBase64(secret, offset)).filter((form) => form.length >= SHORTEST_BASE64);
  return [...new Set([...all, ...all.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))])];
}

/** JavaScript, RFC 3986 (curl, jq, PHP), Python's `quote` and `quote_plus`, and forms (HTML, `urlencode` of Java and Go). */
function urlForms(secret: string): string[] {
  const javascript = encodeURIComponent(secret);
  const rfc3986 = javascript.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  return [javascript, rfc3986, rfc3986.replaceAll('%2F', '/'), rfc3986.replaceAll('%20', '+'), form];
}

/** The characters that a secret decides alone when so many bytes modulo 3 are before it, and anything after it. */
function innerBase64(secret: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
  const known = bytes.toString('base64').slice(0, Math.floor((bytes.length * 8) / 6));
  return known.slice(Math.ceil((offset * 8) / 6));
}
