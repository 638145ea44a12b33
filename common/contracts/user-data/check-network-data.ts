import type { z } from 'zod';
import { formatPath } from '../module/cursor.ts';
import { quoted } from '../module/parsed.ts';
import type { ProblemCode, Severity } from '../module/problem.ts';
import { hasReservedCharacters } from '../module/secret-text.ts';
import { didYouMean } from '../module/suggest.ts';
import type { YamlBudget } from '../module/yaml-limits.ts';
import type { Path } from '../module/yaml-nodes.ts';
import type { SourceDocument } from '../module/yaml-source.ts';
import { NETWORK_V1_ITEMS, NETWORK_V2 } from './network-schema.ts';
import { readYaml11, type TextFinding } from './yaml-1-1.ts';

/**
 * Errors for which cloud-init, or netplan below it, refuses a network configuration of version 1 or 2. Keys that are not
 * known are warnings: each release knows more.
 */
export function checkNetworkData(text: string, budget: YamlBudget): TextFinding[] {
  const { findings, document, value } = readYaml11(text, budget);
  // A secret can stand for any value.
  if (!document || value === null || value === undefined || hasReservedCharacters(text)) return [...findings];
  const check = new NetworkCheck(document);
  check.root(value);
  return [...findings, ...check.findings];
}

class NetworkCheck {
  readonly findings: TextFinding[] = [];
  readonly #document: SourceDocument;

  constructor(document: SourceDocument) {
    this.#document = document;
  }

  /** The configuration may be the whole document, or be under a key `network`. */
  root(value: unknown): void {
    const [config, path]: [unknown, Path] =
      isMap(value) && 'network' in value ? [value['network'], ['network']] : [value, []];
    if (!isMap(config)) this.#report(path, { code: 'InvalidValue', message: 'must be a map of keys and values' });
    else if (config['version'] === 2) this.#version2(config, path);
    else if (config['config'] !== 'disabled') this.#version1(config, path);
  }

  /** Beside the shape, what netplan refuses: it looks up every device that another one names. */
  #version2(config: Readonly<Record<string, unknown>>, path: Path): void {
    this.#shape(NETWORK_V2, config, path);
    const devices = Object.entries(config).flatMap(([kind, ofKind]) =>
      isMap(ofKind)
        ? Object.entries(ofKind).map(([name, device]) => ({ name, device, at: [...path, kind, name] }))
        : [],
    );
    const known = new Set(devices.map(({ name }) => name));
    for (const { device, at } of devices) {
      if (!isMap(device)) continue;
      const { interfaces, link, routes, match } = device;
      const members = [...(Array.isArray(interfaces) ? interfaces : []), link].filter(
        (name) => typeof name === 'string',
      );
      for (const name of members.filter((member) => !known.has(member))) {
        const key = name === link ? 'link' : 'interfaces';
        const message = `netplan refuses ${quoted(name)}, which is not a device of this configuration`;
        this.#report([...at, key], { code: 'Doubtful', message: message, severity: 'warning' });
      }
      if (device['set-name'] !== undefined && match === undefined) {
        this.#report([...at, 'set-name'], { code: 'Conflict', message: 'needs a match, by which the device is found' });
      }
      for (const [index, route] of (Array.isArray(routes) ? routes : []).entries()) {
        const isWhole = !isMap(route) || ['via', 'scope', 'type', 'on-link'].some((key) => route[key] !== undefined);
        if (!isWhole) this.#report([...at, 'routes', index, 'via'], { code: 'MissingField', message: 'is required' });
      }
    }
  }

  #version1({ version, config }: Readonly<Record<string, unknown>>, path: Path): void {
    if (version === 1) this.#items(config, [...path, 'config']);
    else this.#wrongVersion(version, path);
  }

  #wrongVersion(version: unknown, path: Path): void {
    const written = version === undefined ? 'is required' : `${quoted(version)} is not a version that cloud-init knows`;
    const code = version === undefined ? 'MissingField' : 'InvalidValue';
    this.#report([...path, 'version'], { code, message: `${written}: write 1 or 2` });
  }

  #items(config: unknown, path: Path): void {
    const items = Array.isArray(config) ? config : [];
    if (!Array.isArray(config))
      this.#report(path, { code: 'InvalidValue', message: 'version 1 needs a list of devices under config' });
    for (const [index, item] of items.entries()) this.#item(item, [...path, index]);
  }

  #item(item: unknown, path: Path): void {
    const type = isMap(item) ? String(item['type'] ?? '') : '';
    if (isKnown(type)) this.#shape(NETWORK_V1_ITEMS[type], item, path);
    else {
      const message = `${quoted(type)} is not a type of device${didYouMean(type, Object.keys(NETWORK_V1_ITEMS))}`;
      this.#report([...path, 'type'], { code: 'InvalidValue', message: message });
    }
    if (isMap(item) && Array.isArray(item['subnets'])) this.#fixed(item['subnets'], [...path, 'subnets']);
  }

  /** cloud-init gives up the device when a fixed address is missing. */
  #fixed(subnets: readonly unknown[], path: Path): void {
    for (const [index, subnet] of subnets.entries()) {
      const isFixed = isMap(subnet) && (subnet['type'] === 'static' || subnet['type'] === 'static6');
      if (isFixed && subnet['address'] === undefined)
        this.#report([...path, index, 'address'], { code: 'MissingField', message: 'is required' });
    }
  }

  #shape(schema: z.ZodType, value: unknown, above: Path): void {
    for (const issue of schema.safeParse(value).error?.issues ?? []) {
      const path = [...above, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
      if (issue.code !== 'unrecognized_keys') this.#report(path, { code: 'InvalidValue', message: issue.message });
      else {
        const messages = issue.message.split('\n');
        for (const [index, key] of issue.keys.entries()) {
          const message = `${messages[index]}`.replace(/; expected one of .*/, '');
          this.#report([...path, key], { code: 'UnknownKey', message, severity: 'warning', named: path });
        }
      }
    }
  }

  #report(path: Path, { code, message, severity = 'error', named = path }: Complaint): void {
    const { line, column } = severity === 'warning' ? this.#document.locateKey(path) : this.#document.locate(path);
    const where = formatPath(named);
    this.findings.push({ line, column, severity, code, message: where === '' ? message : `${where}: ${message}` });
  }
}

interface Complaint {
  readonly code: ProblemCode;
  readonly message: string;
  /** @defaultValue error */
  readonly severity?: Severity;
  /** What the message names. @defaultValue the place itself */
  readonly named?: Path;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isKnown(type: string): type is keyof typeof NETWORK_V1_ITEMS {
  return Object.hasOwn(NETWORK_V1_ITEMS, type);
}
