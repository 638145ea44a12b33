import { parse, stringify } from 'yaml';

/** Who must be able to log in. */
export interface Login {
  readonly username: string;
  /** One line of `authorized_keys`. */
  readonly publicKey: string;
}

type Mapping = Record<string, unknown>;

const HEADER = '#cloud-config';
const BOUNDARY = 'slipway-user-data';

/**
 * User data that lets the farm in: the key is merged into a `#cloud-config`; anything else (scripts, Jinja) becomes the
 * second part of a MIME message beside a cloud-config of ours. What is MIME already is left alone. `fill` puts in what
 * the text refers to: in a `#cloud-config` as whole text values, whatever characters they have.
 */
export function withLogin(
  userData: string | null,
  login: Login,
  fill: (text: string) => string = (text) => text,
): string {
  const given = userData?.trim() ? userData : `${HEADER}\n{}\n`;
  if (/^(content-type|mime-version):/i.test(given)) return fill(given);
  if (!given.startsWith(HEADER)) return mixed(cloudConfig({}, login), fill(given));
  const parsed: unknown = parse(given, (_key, value: unknown) => (typeof value === 'string' ? fill(value) : value));
  // What is left stands in keys.
  return fill(isMapping(parsed) || parsed === null ? cloudConfig(parsed ?? {}, login) : given);
}

function cloudConfig(given: Mapping, { username, publicKey }: Login): string {
  const config: Mapping = { ...given, ssh_authorized_keys: withKey(given['ssh_authorized_keys'], publicKey) };
  const { users } = given;
  // cloud-init lets nobody log in as root unless told so.
  if (username === 'root') config['disable_root'] ??= false;
  if (Array.isArray(users)) config['users'] = withUser(users, { username, publicKey });
  else if (username !== 'root' && users === undefined) config['user'] ??= username;
  return `${HEADER}\n${stringify(config, { lineWidth: 0, compat: 'yaml-1.1' })}`;
}

/** The top-level keys go to the image's default user; every other one needs them in its own entry. */
function withUser(users: readonly unknown[], { username, publicKey }: Login): unknown[] {
  const isLogin = (user: unknown) => user === username || (isMapping(user) && user['name'] === username);
  const hasLogin = users.some(isLogin);
  const merged = users.map((user) => {
    if (!isLogin(user)) return user;
    const entry = isMapping(user) ? user : { name: username };
    const { 'ssh-authorized-keys': dashed, ...rest } = entry;
    return { ...rest, ssh_authorized_keys: withKey(entry['ssh_authorized_keys'] ?? dashed, publicKey) };
  });
  if (hasLogin || users.includes('default') || username === 'root') return merged;
  const sudo = 'ALL=(ALL) NOPASSWD:ALL';
  return [...merged, { name: username, shell: '/bin/bash', sudo, ssh_authorized_keys: [publicKey] }];
}

function withKey(keys: unknown, publicKey: string): unknown[] {
  const given = Array.isArray(keys) ? keys : typeof keys === 'string' ? keys.split('\n').filter(Boolean) : [];
  return [...given.filter((key) => key !== publicKey), publicKey];
}

function mixed(...parts: readonly string[]): string {
  const bodies = parts.map((part) => `--${BOUNDARY}\nContent-Type: text/plain; charset="utf-8"\n\n${part}\n`);
  return `Content-Type: multipart/mixed; boundary="${BOUNDARY}"\nMIME-Version: 1.0\n\n${bodies.join('')}--${BOUNDARY}--\n`;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
