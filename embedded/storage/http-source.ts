import type { Readable } from 'node:stream';
import { Agent, interceptors, request } from 'undici';
import { ImportHttpError } from './import-http-error.ts';

/** Where an import reads from. */
export interface HttpSource {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Certificate authorities besides the system's, as PEM. */
  readonly certificateAuthorities?: readonly string[];
  readonly mayBeUnverified: boolean;
}

/** Opens the source; follows redirects. Rejects in CDI's words when the answer is not 200. */
export async function openHttpSource(
  source: HttpSource,
  signal: AbortSignal,
): Promise<{ readonly body: Readable; readonly lengthBytes: number | undefined }> {
  const connect = {
    rejectUnauthorized: !source.mayBeUnverified,
    ...(source.certificateAuthorities ? { ca: [...source.certificateAuthorities] } : {}),
  };
  const agent = new Agent({ connect, headersTimeout: 60_000, bodyTimeout: 120_000 });
  const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: 10 }));
  const { statusCode, statusText, headers, body } = await request(source.url, {
    dispatcher,
    signal,
    headers: source.headers,
  });
  if (statusCode !== 200) {
    await body.dump();
    await agent.close();
    throw new ImportHttpError(statusCode, statusText);
  }
  body.once('close', () => void agent.close());
  const length = Number(headers['content-length']);
  const isPlain = headers['content-encoding'] === undefined;
  return { body, lengthBytes: isPlain && Number.isFinite(length) ? length : undefined };
}
