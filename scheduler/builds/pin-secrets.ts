import type { Redis } from 'ioredis';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { SecretUse } from '../../common/contracts/module/compiled.ts';
import { listProblems } from '../../common/contracts/module/problem-list.ts';
import { fillSecrets } from '../../common/contracts/module/secret-text.ts';
import { didYouMean } from '../../common/contracts/module/suggest.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { readSealedSecrets, readSecretNames } from '../../common/redis/secrets.ts';

/** The secrets that modules refer to, by name, as they were at one moment. */
export interface PinnedSecrets {
  /** Values sealed under the farm's key. */
  readonly sealed: Readonly<Record<string, string>>;
  /** Fingerprints of the values in layer keys. */
  readonly fingerprints: Readonly<Record<string, string>>;
  /** Puts the values into a text that refers to them. */
  fill(text: string): string;
}

/** Reads each secret once, so that a layer's key and its workers use the same value. @throws UnknownSecret */
export async function pinSecrets(
  uses: readonly SecretUse[],
  { redis, farmKey }: { readonly redis: Redis; readonly farmKey: FarmKey },
): Promise<PinnedSecrets> {
  const stored = await readSealedSecrets(redis, [...new Set(uses.map(({ name }) => name))]);
  const missing = uses.filter(({ name }) => !stored.has(name));
  if (missing.length > 0) throw unknownSecrets(missing, await readSecretNames(redis));
  const values = new Map([...stored].map(([name, sealed]) => [name, open(farmKey, name, sealed)]));
  const fingerprints = [...values].map(([name, value]) => [name, farmKey.fingerprint(value)]);
  return {
    sealed: Object.fromEntries(stored),
    fingerprints: Object.fromEntries(fingerprints),
    fill: (text) => fillSecrets(text, (name) => values.get(name) ?? ''),
  };
}

function open(farmKey: FarmKey, name: string, sealed: string): string {
  try {
    return farmKey.open(sealed);
  } catch (cause) {
    const message = `The secret "${name}" was sealed under another farm key: set it again.`;
    throw new FarmError('InvalidConfig', message, { cause });
  }
}

function unknownSecrets(uses: readonly SecretUse[], known: readonly string[]): FarmError {
  const problems = uses.map(({ file, line, column, path, name }): Problem => {
    const hint = didYouMean(name, known);
    const message = `${path}: the farm has no secret "${name}"${hint}; an admin sets it with "slipway secret set ${name}"`;
    return { file, line, column, severity: 'error', code: 'UnknownSecret', message };
  });
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  const sentence = `${first?.file}:${first?.line}:${first?.column}: ${first?.message}${more}`;
  return new FarmError('UnknownSecret', sentence, { details: { problems: listProblems(problems) } });
}
