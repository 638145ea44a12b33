import { type Problem, problemDetailsSchema, problemSchema } from '../../common/contracts/problems.ts';
import { ERRORS, type ErrorCode } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';

/** What a proxy says when the farm behind it is away. */
const AWAY = [502, 503, 504];

/** What an answer of the farm at `url` means that is not a success. */
export function refusal(url: string, status: number, body: string): FarmError {
  try {
    const { code, detail, solve, problems, missing } = problemDetailsSchema.parse(JSON.parse(body));
    const details = { solve, ...(problems ? { problems } : {}), ...(missing ? { missing } : {}) };
    if (code in ERRORS) return new FarmError(code as ErrorCode, detail, { details });
  } catch {
    // Not the farm's own answer: a proxy in between, most likely.
  }
  return AWAY.includes(status)
    ? new FarmError('FarmUnreachable', `A proxy answers for the farm at ${url}: HTTP ${status}.`)
    : notAFarm(url, `HTTP ${status}`);
}

/** What a view of the farm says of why something failed. */
export function carriedError({ code, message }: { readonly code: string; readonly message: string }): FarmError {
  return new FarmError(code in ERRORS ? (code as ErrorCode) : 'BrokenInvariant', message);
}

/** OpenSSL's words, as Node.js has them, for a certificate by an authority that this machine does not trust. */
const UNTRUSTED = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];

/** No connection to the farm at `url` came about; `cause` is what the attempt failed with. */
export function unreachable(url: string, cause: unknown): FarmError {
  const inner = cause instanceof Error ? (cause.cause ?? cause) : cause;
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  const solve = 'Pass the CA certificate that signed its certificate: --ca-file ca.pem, or `SLIPWAY_CA_FILE`.';
  return new FarmError('FarmUnreachable', `The farm at ${url} does not answer: ${errorMessage(inner)}.`, {
    cause,
    ...(UNTRUSTED.includes(code) ? { details: { solve } } : {}),
  });
}

/** Something answers at `url` that speaks another language. */
export function notAFarm(url: string, answer: string): FarmError {
  return new FarmError('NotAFarm', `The server at ${url} is not a Slipway farm: ${answer}.`);
}

/** The problems of modules for which the farm has refused them; none when it was for something else. */
export function problemsOf(error: unknown): readonly Problem[] {
  if (!(error instanceof FarmError)) return [];
  return problemSchema.array().safeParse(error.details['problems']).data ?? [];
}
