import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmClient } from './farm-client.ts';

/** Letters of an id (a ULID). */
const WHOLE = 26;
const SHORT = 8;
const SHOWN = 5;

/** The end of an id, which distinguishes builds: its start is their time. */
export function shortId(buildId: string): string {
  return buildId.slice(-SHORT);
}

/**
 * The id of the build that a person means by the start or the end of it, in letters of either case, as with commits.
 * @throws NotFound when no build has it, InvalidRequest naming them when several have
 */
export async function resolveBuild(client: Pick<FarmClient, 'allBuilds'>, text: string): Promise<string> {
  const requested = text.toUpperCase();
  if (requested.length >= WHOLE) return requested;
  const found: string[] = [];
  for await (const { buildId } of client.allBuilds()) {
    if (requested !== '' && (buildId.startsWith(requested) || buildId.endsWith(requested))) found.push(buildId);
  }
  const [only] = found;
  if (only === undefined) throw new FarmError('NotFound', `Build "${text}" not found.`);
  if (found.length === 1) return only;
  const more = found.length > SHOWN ? `, and ${found.length - SHOWN} more` : '';
  const candidates = `${found.slice(0, SHOWN).join(', ')}${more}`;
  throw new FarmError('InvalidRequest', `Several builds match "${text}": ${candidates}.`);
}
