import { readFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import { moduleJsonSchema } from '../../common/contracts/module/json-schema.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { own } from '../../common/contracts/own.ts';
import { assert } from '../../common/errors/farm-error.ts';

/** The part of JSON Schema that describes the file format. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly description?: string;
}

/** A field of the file format. */
export interface Field {
  /** Such as `vms[].disks[].size`. */
  readonly path: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly default: string;
  readonly description: string;
}

/** The pages under `docs/module/` and the fields that each of them describes: everything below these paths. */
export const MODULE_PAGES: Readonly<Record<string, readonly string[]>> = {
  module: [
    'name',
    'labels',
    'vms',
    'timeout',
    'retries',
    'maxAge',
    'placement',
    'isoCacheTTL',
    'namespace',
    'namespacePrefix',
    'output',
  ],
  variables: ['variables'],
  machines: [
    ...['vms[].name', 'vms[].resources', 'vms[].efiFirmware', 'vms[].cpuModel', 'vms[].machineType'],
    ...['vms[].dependsOn', 'vms[].shutdownCommand', 'vms[].shutdownTimeout', 'vms[].invisible'],
  ],
  source: ['vms[].source'],
  disks: ['vms[].disks', 'vms[].isos'],
  files: ['files', 'httpDirectory', 'vms[].floppy'],
  'boot-command': ['vms[].bootCommand'],
  'cloud-init': ['vms[].cloudInit'],
  communicator: ['vms[].communicator'],
  network: ['network', 'vms[].nics'],
  steps: ['vms[].provisioners'],
  'build-overrides': ['buildOverrides'],
};

const BEGIN = '<!-- fields: written by `npm run docs` -->';
const END = '<!-- end of fields -->';

const MISTAKE = /^```yaml\n((?:(?!```).*\n)*)```\n\n```text\n(?:(?!```).*\n)*```$/gm;

/** A page as it is, with the table of its fields as the schema has them, and with the messages of validation about its mistakes. */
export function modulePage(name: string): string {
  const text = readFileSync(packagePath('docs', 'module', `${name}.md`), 'utf8');
  const [head, rest] = text.split(BEGIN);
  const tail = rest?.split(END)[1];
  assert(head !== undefined && tail !== undefined, `docs/module/${name}.md has both marks of the table of fields.`);
  const page = `${head}${BEGIN}\n\n${fieldTable(fieldsOf(name))}\n\n${END}${tail}`;
  return page.replace(
    MISTAKE,
    (_all, yaml: string) => `\`\`\`yaml\n${yaml}\`\`\`\n\n\`\`\`text\n${answerTo(yaml)}\`\`\``,
  );
}

/** Output of `slipway validate` for a module, a line for each problem. */
export function answerTo(yaml: string): string {
  const { problems } = parseModules([{ path: 'module.yaml', text: yaml }]);
  const lines = problems.map(
    ({ line, column, severity, message }) => `module.yaml:${line}:${column}: ${severity}: ${message}\n`,
  );
  return lines.join('');
}

/** The fields of a page: those below its paths, except what lies below a longer path of another page. */
export function fieldsOf(name: string): Field[] {
  return moduleFields().filter(({ path }) => pageOf(path) === name);
}

/** Which page describes a field. */
export function pageOf(path: string): string | undefined {
  const paths = Object.entries(MODULE_PAGES).flatMap(([page, list]) => list.map((above) => ({ page, above })));
  const isBelow = (above: string) => path === above || path.startsWith(`${above}.`) || path.startsWith(`${above}[`);
  return paths.filter(({ above }) => isBelow(above)).sort((a, b) => b.above.length - a.above.length)[0]?.page;
}

/** Every field of a document in its bare form, in the order of the schema. */
export function moduleFields(): Field[] {
  const root = moduleJsonSchema() as Schema;
  const bare = root.anyOf?.find(({ properties }) => properties && !('kind' in properties));
  assert(bare, 'The schema has the bare form of a document.');
  return fieldsBelow('', bare, root);
}

function fieldsBelow(path: string, schema: Schema, root: Schema): Field[] {
  const { properties, required = [] } = resolve(schema, root);
  return Object.entries(properties ?? {}).flatMap(([key, value]) => {
    const found = resolve(value, root);
    const own = path === '' ? key : `${path}.${key}`;
    const field = {
      ...{ path: own, type: typeOf(found, root), isRequired: required.includes(key) },
      default: value.default === undefined ? '' : JSON.stringify(value.default),
      description: value.description ?? found.description ?? '',
    };
    if (found.items) return [field, ...fieldsBelow(`${own}[]`, found.items, root)];
    return [field, ...fieldsBelow(own, found, root)];
  });
}

function resolve(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1);
  return name === undefined ? schema : { ...own(root.$defs ?? {}, name), ...schema };
}

function typeOf(schema: Schema, root: Schema): string {
  const { type, anyOf, items, examples } = schema;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (anyOf) return [...new Set(anyOf.filter((one) => !isVariable(one)).map((one) => typeOf(one, root)))].join(' or ');
  if (items) return `list of ${typeOf(resolve(items, root), root)}`;
  if (examples) return examples.map((example) => `\`${example}\``).join(', ');
  if (type === 'object') return schema.properties ? 'map' : 'map of names';
  return type === undefined ? 'anything' : [type].flat().join(' or ');
}

/** Any scalar may be a reference to a variable; the page on variables documents it once. */
function isVariable({ type, ...rest }: Schema): boolean {
  return type === 'string' && 'pattern' in rest && String(rest.pattern).includes('{var');
}

function fieldTable(fields: readonly Field[]): string {
  const rows = fields.map(({ path, type, isRequired, default: byDefault, description }) =>
    [`\`${path}\``, type, isRequired ? 'required' : byDefault && `\`${byDefault}\``, description]
      .map((cell) => cell.replaceAll('|', '\\|'))
      .join(' | '),
  );
  return ['| field | type | default | meaning |', '| --- | --- | --- | --- |', ...rows.map((row) => `| ${row} |`)].join(
    '\n',
  );
}
