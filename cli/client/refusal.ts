import { readVersion, VERSION_HEADER } from '../../common/config/version.ts';
import { type Problem, problemDetailsSchema, problemSchema } from '../../common/contracts/problems.ts';
import { ERRORS, type ErrorCode } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';

/** Status codes of a proxy without its backend. */
const AWAY = [502, 503, 504];

/** An answer without its body. */
export interface AnswerHead {
  readonly status: number;
  /** That of the farm; null for the answer of another server. */
  readonly version: string | null;
}

export function headOf({ status, headers }: Response): AnswerHead {
  return { status, version: headers.get(VERSION_HEADER) };
}

/** The error of an answer of the farm at `url` whose status is not a success. */
export function refusal(url: string, { status, version }: AnswerHead, body: string): FarmError {
  try {
    const { code, detail, solve, problems, missing } = problemDetailsSchema.parse(JSON.parse(body));
    const details = { solve, ...(problems ? { problems } : {}), ...(missing ? { missing } : {}) };
    if (code in ERRORS) return new FarmError(code as ErrorCode, detail, { details });
    if (version !== null) return unreadable(url, version, `${detail} (${code})`, details);
  } catch {
    // Not the farm's own answer: a proxy in between, most likely.
  }
  return AWAY.includes(status)
    ? new FarmError('FarmUnreachable', `A proxy answered instead of the farm at ${url}: HTTP ${status}.`)
    : notAFarm(url, `HTTP ${status}`);
}

/** An answer that this program does not understand: that of another version, or a bug. */
export function unreadable(
  url: string,
  theirs: string | null,
  complaint: string,
  details: Readonly<Record<string, unknown>> = {},
): FarmError {
  const ours = readVersion();
  if (theirs === null || theirs === ours) {
    return new FarmError('BrokenInvariant', `The farm at ${url}: ${complaint}.`, { details });
  }
  const message = `The farm at ${url} runs Slipway ${theirs}, and this program is Slipway ${ours}: ${complaint}.`;
  return new FarmError('VersionSkew', message, { details });
}

/** A failure in a view of the farm. */
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

/** The connection to the farm at `url` failed with `cause`. */
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
