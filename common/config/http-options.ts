import { z } from 'zod';
import { USUAL_MODULES } from '../contracts/module/yaml-limits.ts';
import { bytesOption, count, durationOption, port } from './units.ts';

const httpLimits = z.strictObject({
  body: bytesOption.prefault('16Mi').describe('The largest body of a request.'),
  modules: count
    .default(USUAL_MODULES)
    .describe(
      'Modules that one request may have. What its texts may have together, and the time and memory that it may take, grow with it.',
    ),
  requestsPerMinute: count.default(6_000).describe('Requests that one token may send to one scheduler in a minute.'),
  refusalsPerMinute: count
    .default(120)
    .describe(
      'Requests without a valid token that one address may send in a minute before they are answered with 429.',
    ),
  streams: count
    .default(500)
    .describe(
      'Event streams, waiting requests and consoles that one scheduler serves at once. Viewers take at most 80 % of them and builders 90 %.',
    ),
  streamsPerToken: count.default(250).describe('As `streams`, of one token.'),
  layers: count
    .default(50_000)
    .describe('Layers that may wait or be built at once; beyond it, submissions are refused.'),
});

/** The HTTP API. */
export const httpOptions = z
  .strictObject({
    host: z.string().default('127.0.0.1').describe('Address that the scheduler listens on.'),
    advertisedHost: z
      .string()
      .optional()
      .describe(
        'Address under which other processes of the farm reach this one, to show consoles; by default `http.host`, or the first address of the machine where that is for all.',
      ),
    port: port.default(8080).describe('Port of the HTTP API; 0 takes a free one.'),
    plaintext: z
      .enum(['loopback', 'anywhere'])
      .default('loopback')
      .describe(
        'Which addresses `http.host` may have, as it serves without TLS; `anywhere` is for container networks where a proxy terminates TLS in front of it.',
      ),
    tls: z
      .strictObject({
        host: z.string().default('0.0.0.0').describe('Address that the scheduler listens on with TLS as well.'),
        port: port.default(8443).describe('Port of the HTTP API with TLS; 0 takes a free one.'),
        certificateFile: z
          .string()
          .optional()
          .describe(
            'PEM file of its certificate, with those between it and the authority. Without it there is no TLS.',
          ),
        keyFile: z.string().optional().describe('PEM file of the key of the certificate.'),
      })
      .prefault({})
      .describe('HTTPS, besides plain HTTP.'),
    tokenFile: z
      .string()
      .optional()
      .describe('File with the bearer token of an admin: the first one, which makes others.'),
    sessions: durationOption.prefault('12h').describe('How long a browser stays signed in.'),
    trustProxy: z
      .array(z.string())
      .default([])
      .describe(
        'Addresses and networks of the proxies in front of the scheduler, such as `10.0.0.0/8`, or `loopback`. Their forwarding headers are trusted: the address of the client, by which refusals are counted, and its use of TLS, so that session cookies are sent only with TLS.',
      ),
    limits: httpLimits.prefault({}).describe('Limits of the HTTP API.'),
  })
  .prefault({})
  .describe('The HTTP API.');
