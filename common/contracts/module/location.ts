import { type Parsed, quoted } from './parsed.ts';
import { secretNames } from './secret-text.ts';

/** Credentials for a server: HTTP basic authentication. */
export interface Credentials {
  readonly username: string;
  /** A secret, or a text that refers to one. Sealed under the farm's key wherever the module is stored. */
  readonly password: string;
}

/** Where something lies. The URL itself carries no credentials: it may be shown, and be written to objects of the cluster. */
export interface Location {
  readonly url: string;
  readonly credentials: Credentials | null;
}

const PARTS = /^(?<scheme>https?):\/\/(?:(?<login>[^/?#]*)@)?(?<rest>[^/?#\s]\S*)$/i;

/** Of Packer, Ansible, Jinja and Go: nothing fills it here. */
const TEMPLATE = /\{\{/;

/** `${NAME}` and `<name>` of scripts and pages. */
const UNFILLED = /\$\{[^}]*\}|<[a-z][\w -]*>/i;

/** Parsers of URLs disagree about it: browsers take it for a slash, importers refuse it. */
const BACKSLASH = /^https?:[^?#]*\\/i;

/** Importers refuse what begins no percent-encoding. */
const BAD_ESCAPE = /^https?:\/\/[^/?#]*\/[^?#]*%(?![0-9a-f]{2})/i;

const LIST = /,\s*https?:\/\//i;
const UNFIT = new RegExp([TEMPLATE, UNFILLED, BACKSLASH, BAD_ESCAPE, LIST].map(({ source }) => source).join('|'), 'i');

/** Common mistakes in URLs, with their remedies. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/^\s|\s$/, 'has blanks around it: remove them'],
  [TEMPLATE, `holds a template of another tool: write \${var.NAME} instead, with NAME under variables`],
  [UNFILLED, `holds a name that nothing fills: write \${var.NAME} instead, with NAME under variables`],
  [/^["'<`].*["'>`]$/, 'has quotes or brackets around it: remove them'],
  [LIST, 'holds more than one URL: write one'],
  [BACKSLASH, 'has a backslash in it: write / or %5C'],
  [BAD_ESCAPE, 'has a % that begins no percent-encoding: write %25'],
  [/^https?:\/\/\S*\s+https?:\/\//i, 'holds more than one URL: write one'],
  [/^https?:\/\/\S*\s/i, 'has a blank in it: write %20'],
  [/^(docker|oci):\/\//i, 'is a container image: name it under containerDisk, without the scheme'],
  [
    /^(file:\/\/|\.{0,2}\/|~\/|\\\\|[A-Za-z]:\\|[\w.-]+\.(qcow2|img|raw|vmdk|vdi|vhdx?|iso|[gx]z)$)/i,
    'is a path, not an http or https URL: name what lies beside this file under "path"',
  ],
  [/^[\w-]+(\.[\w-]+)+(:\d+)?\//, 'has no scheme: write https:// before it'],
  [/^(git|hg)::/i, 'names a way of fetching that is not known: write the https address alone'],
  [/^(s3|gs|gcs)(::|:\/\/)/i, 'is not an http or https URL: write the https address of the object'],
  [/^https?:\/\/[^/?#]*\[[^\]/?#]*(?![^/?#])/i, 'has an IPv6 address without its closing bracket'],
  [/^https?:\/\/[^/?#[]*:[^/?#]*:/i, 'has an IPv6 address without brackets: write https://[ADDRESS]/'],
  [/^https?:\/\/[^/?#]*:[\w${}]*(?![^/?#])/i, 'has an invalid port: use 1 to 65535'],
  [
    /^(?!h?t+p?s?:)\w+:(\/\/|\?)/i,
    'is not an http or https URL: put the file on such a server, or name a local copy under "path"',
  ],
  [/^h?t+p?s?:?\/+/i, 'is not an http or https URL: write https:// and a host'],
];

/** Reads an http or https URL, which may have `user:password@` before its host, both percent-encoded. */
export function parseLocation(written: unknown): Parsed<Location> {
  if (Array.isArray(written)) return { complaint: 'must be one URL: a list of mirrors is not tried in turn' };
  const text = typeof written === 'string' ? written : '';
  const { scheme = '', login, rest = '' } = PARTS.exec(text)?.groups ?? {};
  const url = `${scheme.toLowerCase()}://${rest}`;
  if (scheme === '' || UNFIT.test(text) || !URL.canParse(url) || new URL(url).port === '0') {
    const [, meaning] = OTHERS.find(([pattern]) => pattern.test(text)) ?? [];
    return { complaint: `${quoted(written)} ${meaning ?? 'is not an http or https URL'}` };
  }
  if (secretNames(rest).length > 0) {
    return { complaint: 'a secret is allowed only in the user:password@ of a URL: the rest of the URL is shown' };
  }
  if (login === undefined) return { value: { url, credentials: null } };
  const credentials = readLogin(login);
  return 'value' in credentials ? { value: { url, credentials: credentials.value } } : credentials;
}

function readLogin(login: string): Parsed<Credentials> {
  const [username = '', ...others] = login.split(':');
  const password = others.join(':');
  // CDI sends both or none.
  if (username === '' || password === '') {
    return {
      complaint: 'has a user without a password, or the reverse: write both before its @, with a colon between',
    };
  }
  try {
    return { value: { username: decodeURIComponent(username), password: decodeURIComponent(password) } };
  } catch {
    return { complaint: 'has a % in its user or password that begins no percent-encoding: write %25' };
  }
}
