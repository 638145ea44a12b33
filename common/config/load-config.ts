import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { FarmError, wrapError } from '../errors/farm-error.ts';
import { issueLines } from '../text/issue-lines.ts';
import { type Config, configSchema } from './schema.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Document = Record<string, unknown>;

/** One option as people set it. */
export interface OptionDescription {
  /** Path in the YAML file, e.g. `redis.url`. */
  readonly path: string;
  readonly variable: string;
  readonly description: string;
  readonly defaultValue: unknown;
  /** Given as YAML in its variable. */
  readonly isList: boolean;
}

/**
 * The configuration of a process, compiled once at its start: the YAML file named by `SLIPWAY_CONFIG`, then variables.
 * @throws InvalidConfig naming every wrong option by its path; an unknown one too.
 */
export function loadConfig(environment: Environment = process.env): Config {
  const file = environment['SLIPWAY_CONFIG'];
  const document = file === undefined ? {} : readDocument(file);
  for (const option of describeOptions()) {
    const text = environment[option.variable];
    if (text !== undefined) setOption(document, option, text);
  }
  const result = configSchema.safeParse(document);
  if (result.success) return result.data;
  const problems = issueLines(result.error, 'the document').join('; ');
  throw new FarmError('InvalidConfig', `The configuration is not valid. ${problems}`, { details: { file } });
}

/** Sets an option of a document to what a variable or a command line has. */
export function setOption(document: Document, { path, isList }: OptionDescription, text: string): void {
  setPath(document, path.split('.'), isList ? parse(text) : text);
}

/** Every option that can be set, read off the schema; `docs/configuration.md` is made from it. */
export function describeOptions(): readonly OptionDescription[] {
  const schema = z.toJSONSchema(configSchema, { io: 'input' });
  return leaves(schema, []);
}

function leaves(schema: z.core.JSONSchema.BaseSchema, path: readonly string[]): OptionDescription[] {
  if (schema.properties) {
    return Object.entries(schema.properties).flatMap(([key, child]) =>
      typeof child === 'boolean' ? [] : leaves(child, [...path, key]),
    );
  }
  const variable = `SLIPWAY_${path.map(snake).join('_')}`;
  const option = {
    path: path.join('.'),
    variable,
    description: schema.description ?? '',
    defaultValue: schema.default,
    isList: schema.type === 'array',
  };
  const items = schema.items;
  if (!items || typeof items === 'boolean' || Array.isArray(items) || !items.properties) return [option];
  const fields = leaves(items, [...path.slice(0, -1), `${path.at(-1)}[]`]);
  return [option, ...fields.map((field) => ({ ...field, variable: '' }))];
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

function readDocument(file: string): Document {
  try {
    return z.record(z.string(), z.unknown()).parse(parse(readFileSync(file, 'utf8')) ?? {});
  } catch (error) {
    throw wrapError(error, `Reading the configuration ${file}`, 'InvalidConfig');
  }
}

function setPath(target: Document, [key = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  const child = z.record(z.string(), z.unknown()).safeParse(target[key]);
  const next = child.success ? child.data : {};
  target[key] = next;
  setPath(next, rest, value);
}
