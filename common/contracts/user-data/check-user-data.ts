import { didYouMean } from '../module/suggest.ts';
import type { YamlBudget } from '../module/yaml-limits.ts';
import { HEADERS, readUserData, type UserDataKind } from './kinds.ts';
import { readYaml11, type TextFinding } from './yaml-1-1.ts';

/** What of the module decides whether user data fits it. */
export interface UserDataContext {
  readonly sshUsername: string;
  readonly hasSteps: boolean;
  /** What the texts of the request may still cost. */
  readonly budget: YamlBudget;
}

/**
 * What cloud-init will not make of user data what its author meant, as far as its text tells. Errors are what it cannot
 * read at all; it would start the guest without it.
 */
export function checkUserData(text: string, context: UserDataContext): TextFinding[] {
  const { content, kind, wrappings } = readUserData(Buffer.from(text));
  // Places in a text that was unpacked are not places in the file.
  const findings = findingsOf(String(content), kind, context);
  return wrappings.length === 0 ? findings : findings.map((finding) => ({ ...finding, ...START }));
}

const START = { line: 1, column: 1 } as const;

function findingsOf(text: string, kind: UserDataKind | null, context: UserDataContext): TextFinding[] {
  if (kind === null) return headerFindings(text);
  if (kind !== 'cloud-config' && kind !== 'cloud-config-archive') return [];
  const { findings, document, value } = readYaml11(text, context.budget);
  // Nothing but a header is nothing to do.
  if (!document || value === null || value === undefined) return [...findings];
  const isConfig = kind === 'cloud-config';
  if (Array.isArray(value) === isConfig || typeof value !== 'object') {
    const { line, column } = document.locate([]);
    const shape = isConfig ? 'a map of keys and values' : 'a list of parts';
    return [...findings, { ...AN_ERROR, line, column, message: `after its header a #${kind} must be ${shape}` }];
  }
  const place = (path: readonly (string | number)[]) => {
    const { line, column } = document.locateKey(path);
    return { line, column };
  };
  return isConfig ? [...findings, ...configFindings(value as Config, { place, context })] : [...findings];
}

const AN_ERROR = { severity: 'error', code: 'InvalidValue' } as const;
const A_DOUBT = { severity: 'warning', code: 'Doubtful' } as const;

/** cloud-init only tells from the first line what user data is; what it does not know it ignores, and says so in a log. */
function headerFindings(text: string): TextFinding[] {
  // A secret may stand for the whole.
  if (text.trim() === '' || /^\s*\ufdd0/.test(text)) return [];
  if (text.startsWith('\ufeff')) {
    const message =
      'begins with a byte order mark, so cloud-init does not know the header and ignores it: remove the mark';
    return [{ ...A_DOUBT, ...START, message }];
  }
  const first = text.trimStart().split('\n')[0]?.trim() ?? '';
  const near = first.startsWith('#') ? didYouMean(first.replaceAll(' ', ''), HEADERS.slice(0, 5)) : '';
  const remedy = near.includes('did you mean')
    ? near.slice(2)
    : 'write "#cloud-config" (or "#!/bin/sh" for a script) above it';
  const message = `cloud-init ignores user data without a header: ${remedy}`;
  return [{ ...A_DOUBT, ...START, message }];
}

type Config = Readonly<Record<string, unknown>>;

interface ConfigPlace {
  readonly place: (path: readonly (string | number)[]) => { line: number; column: number };
  readonly context: UserDataContext;
}

/** Keys that end the farm's way in, or everybody's. */
function configFindings(config: Config, { place, context }: ConfigPlace): TextFinding[] {
  const { sshUsername, hasSteps } = context;
  const findings: TextFinding[] = [];
  const doubt = (path: readonly (string | number)[], message: string) =>
    findings.push({ ...A_DOUBT, ...place(path), message });
  if (config['disable_root'] === true && sshUsername === 'root') {
    const message =
      'disable_root: nobody gets into the image as root by the keys of this user data; while it is built the';
    doubt(['disable_root'], `${message} farm still does, as sshUsername asks`);
  }
  const mode = isMap(config['power_state']) ? config['power_state']['mode'] : undefined;
  if (mode !== undefined && mode !== false && hasSteps) {
    const message = `power_state: cloud-init ends with "${String(mode)}" while the farm runs the steps: use a step of type`;
    doubt(['power_state'], `${message} reboot, or leave shutting down to the farm`);
  }
  for (const path of expiring(config, sshUsername)) {
    const message = `chpasswd: the password of "${sshUsername}" expires at once, and then logins by key are refused too: write`;
    doubt(path, `${message} expire: false`);
  }
  return findings;
}

/** Where a password is set for the account, which cloud-init lets expire unless told otherwise. */
function expiring(config: Config, user: string): (readonly (string | number)[])[] {
  const { chpasswd } = config;
  if (!isMap(chpasswd) || chpasswd['expire'] === false) return [];
  const list = Array.isArray(chpasswd['list']) ? chpasswd['list'] : String(chpasswd['list'] ?? '').split('\n');
  const isListed = list.some((line) => String(line).trim().startsWith(`${user}:`));
  const isNamed =
    Array.isArray(chpasswd['users']) && chpasswd['users'].some((entry) => isMap(entry) && entry['name'] === user);
  return isListed || isNamed ? [['chpasswd']] : [];
}

function isMap(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
