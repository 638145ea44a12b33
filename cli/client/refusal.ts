import { problemDetailsSchema } from '../../common/contracts/problems.ts';
import { ERRORS, type ErrorCode } from '../../common/errors/error-table.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** What an answer of the farm means that is no success. */
export function refusal(status: number, body: string): FarmError {
  try {
    const { code, detail, problems } = problemDetailsSchema.parse(JSON.parse(body));
    if (code in ERRORS) return new FarmError(code as ErrorCode, detail, { details: problems ? { problems } : {} });
  } catch {
    // Not the farm's own answer: a proxy in between, most likely.
  }
  return new FarmError('FarmUnreachable', `The answer was HTTP ${status} from something that is no farm.`);
}
