import { once } from 'node:events';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { text } from 'node:stream/consumers';
import { VERSION_HEADER } from '../../common/config/version.ts';
import type { FarmAddress } from './connection.ts';
import { refusal, unreachable } from './refusal.ts';

const SILENCE_MS = 60_000;

/**
 * A successful answer of a farm with a large body, which is not read yet. `fetch` copies each piece of a body several times, and
 * collecting the copies takes longer than the rest of a download.
 * @throws FarmUnreachable, and the errors that the farm refuses with
 */
export async function download(
  { url, token, authorities }: FarmAddress,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<IncomingMessage> {
  const { request } = await (url.startsWith('https:') ? import('node:https') : import('node:http'));
  const options: RequestOptions & { readonly ca?: string[] } = {
    headers: { ...headers, authorization: `Bearer ${token}` },
    ...(authorities ? { ca: [...authorities] } : {}),
  };
  const asked = request(`${url}${path}`, options);
  asked.setTimeout(SILENCE_MS, () => asked.destroy(new Error(`no byte for ${SILENCE_MS / 1000} s`)));
  asked.end();
  const [response] = (await once(asked, 'response').catch((cause: unknown) => {
    throw unreachable(url, cause);
  })) as [IncomingMessage];
  // One that comes now ends the response, too.
  asked.on('error', () => {});
  const { statusCode: status = 0 } = response;
  if (status >= 200 && status < 300) return response;
  const version = response.headers[VERSION_HEADER.toLowerCase()];
  throw refusal(url, { status, version: version === undefined ? null : String(version) }, await text(response));
}
