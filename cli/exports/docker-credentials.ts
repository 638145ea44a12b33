import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { parseJson } from '../../common/text/parse-json.ts';

const HELPER_MS = 30_000;
/** Docker's own name for Docker Hub. */
const HUB_KEY = 'https://index.docker.io/v1/';
/** User name that helpers return when the password is a token that only Docker redeems. */
const TOKEN_USER = '<token>';

const configSchema = z.looseObject({
  auths: z.record(z.string(), z.looseObject({ auth: z.string().optional() })).default({}),
  credHelpers: z.record(z.string(), z.string()).default({}),
  credsStore: z.string().optional(),
});
const helperSchema = z.object({ Username: z.string(), Secret: z.string() });

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/**
 * Credentials that `docker login` stored for a registry (`docker.io` for Docker Hub) in `$DOCKER_CONFIG/config.json` or
 * `~/.docker/config.json`, or in the helper that this file names; undefined without an entry. @throws InvalidRequest
 */
export function dockerCredentials(
  registry: string,
  environment: Readonly<Record<string, string | undefined>>,
): RegistryCredentials | undefined {
  const file = join(environment['DOCKER_CONFIG'] ?? join(homedir(), '.docker'), 'config.json');
  const { auths, credHelpers, credsStore } = readConfig(file);
  const keys = registry === 'docker.io' ? [HUB_KEY, registry] : [registry, `https://${registry}`];
  const helper = keys.map((key) => credHelpers[key]).find((name) => name) ?? credsStore;
  const found = helper === undefined ? undefined : askHelper(helper, keys[0] ?? registry);
  if (found) return found;
  const auth = keys.map((key) => auths[key]?.auth).find((text) => text);
  if (auth === undefined) return undefined;
  const [, username, password] = /^([^:]+):(.+)$/s.exec(Buffer.from(auth, 'base64').toString()) ?? [];
  if (username !== undefined && password !== undefined) return { username, password };
  throw new FarmError('InvalidRequest', `The entry for ${registry} in ${file} is not USER:PASSWORD in Base64.`);
}

function readConfig(file: string): z.infer<typeof configSchema> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return configSchema.parse({});
    throw new FarmError('InvalidRequest', `Docker's configuration cannot be read: ${errorMessage(error)}.`);
  }
  try {
    return configSchema.parse(JSON.parse(text));
  } catch {
    // Not the cause: it may quote a password.
    throw new FarmError('InvalidRequest', `${file} is not a Docker configuration.`);
  }
}

/** Docker's credential helper protocol; undefined when the helper has no entry for the registry. */
function askHelper(name: string, registry: string): RegistryCredentials | undefined {
  const program = `docker-credential-${name}`;
  const { status, stdout, error } = spawnSync(program, ['get'], {
    input: registry,
    encoding: 'utf8',
    timeout: HELPER_MS,
  });
  // A helper that ends without reading its input is not a separate error.
  if (error && status === null)
    throw new FarmError(
      'InvalidRequest',
      `Docker's configuration names ${program}, which cannot be run: ${error.message}.`,
    );
  if (status !== 0 && /credentials not found/i.test(stdout)) return undefined;
  const credentials = status === 0 ? helperSchema.safeParse(parseJson(stdout)).data : undefined;
  if (!credentials)
    throw new FarmError('InvalidRequest', `${program} returned no credentials for ${registry} (status ${status}).`);
  if (credentials.Username !== TOKEN_USER) return { username: credentials.Username, password: credentials.Secret };
  throw new FarmError(
    'InvalidRequest',
    `${program} has an identity token for ${registry}, which only Docker can use: put USER:PASSWORD into a secret of the farm and pass --secret.`,
  );
}
