import { type RequestOptions, request } from 'node:https';
import type { RawContent } from './raw-content.ts';

const SILENCE_MS = 60_000;
/** Node.js stops and starts a socket for each record of TLS (16 KiB) where its reader is slower and this is not larger. */
const AHEAD_BYTES = 1024 ** 2;

/** What a cluster links to. `cert`: what is to be trusted there (PEM); empty: what the system trusts. */
export function linkedContent(link: {
  readonly url: string;
  readonly cert: string;
  readonly token: string;
}): RawContent {
  const { url, cert, token } = link;
  return {
    place: new URL(url).host,
    request: async (headers, signal) => {
      const options: RequestOptions & { readonly highWaterMark: number } = {
        ...(cert === '' ? {} : { ca: cert }),
        headers: { ...headers, 'x-kubevirt-export-token': token },
        highWaterMark: AHEAD_BYTES,
        signal,
      };
      const asked = request(url, options);
      asked.setTimeout(SILENCE_MS, () => asked.destroy(new Error(`no byte for ${SILENCE_MS / 1000} s`)));
      return asked;
    },
  };
}
