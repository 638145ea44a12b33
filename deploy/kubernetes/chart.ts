import { Document, isScalar, parseDocument, stringify, visit } from 'yaml';
import { manifests } from './manifests.ts';
import { type Condition, type Insert, isInsert, type Manifest, type Part } from './parts.ts';
import { NOTES, type Slot, type Slots, VALUES } from './values.ts';
import { valuesSchema } from './values-schema.ts';

/*
 * Stand-ins for values while a template is written; `⟦` and `⟧` occur nowhere else.
 *   ⟦path⟧   text              ⟦#path⟧  number or truth value, never quoted
 *   ⟦=path⟧  any YAML          ⟦|path⟧  YAML as text          ⟦@path⟧  hash of that text
 *   ⟦?path is⟧ before one: the line is there when the value at the path is `is`; after ⟦:⟧ the line that is there else
 */

/** Files of the chart by their path in it. */
export function chartFiles(version: string): ReadonlyMap<string, string> {
  const scope = { name: '⟦.Release.Name⟧', namespace: '⟦.Release.Namespace⟧', values: standIns(VALUES, []) as Slots };
  return new Map([
    ['Chart.yaml', chart(version)],
    ['values.yaml', values()],
    ['values.schema.json', valuesSchema()],
    ['templates/NOTES.txt', notes()],
    ...manifests(scope).map((part) => [`templates/${part.file}.yaml`, template(part)] as const),
  ]);
}

function chart(version: string): string {
  return stringify({
    apiVersion: 'v2',
    name: 'slipway',
    description: 'A distributed build farm for layered virtual-machine images on KubeVirt',
    type: 'application',
    version,
    appVersion: version,
    kubeVersion: '>=1.27.0-0',
  });
}

function notes(): string {
  return [
    'Slipway is starting. Its pods wait for the Secret "{{ .Values.secretName }}" in this namespace; on this cluster it builds in',
    'the namespace "{{ .Values.farmNamespace }}".',
    '',
    '  kubectl -n {{ .Release.Namespace }} port-forward service/{{ .Release.Name }}-scheduler 8080:80',
    '  slipway --help',
    '',
  ].join('\n');
}

/** `values.yaml` with its comments. */
function values(): string {
  const document = new Document(unwrapped(VALUES));
  for (const [path, note] of Object.entries(NOTES)) {
    const keys = path.split('.');
    const parent = keys.length > 1 ? document.getIn(keys.slice(0, -1)) : document.contents;
    visit(parent as Document, {
      Pair: (_key, pair) => {
        if (isScalar(pair.key) && pair.key.value === keys.at(-1)) {
          pair.key.commentBefore = note.replace(/^/gm, ' ');
          return visit.BREAK;
        }
        return visit.SKIP;
      },
    });
  }
  return `# Made by \`npm run manifests\` from deploy/kubernetes/values.ts.\n${document.toString({ lineWidth: 0 })}`;
}

function unwrapped(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  if ('whole' in value) return value.whole;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, unwrapped(child)]));
}

function standIns(value: unknown, path: readonly string[]): unknown {
  const name = `.Values.${path.join('.')}`;
  if (typeof value === 'string') return `⟦${name}⟧`;
  if (typeof value !== 'object' || value === null) return `⟦#${name}⟧`;
  if ('whole' in value) return { whole: name };
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, standIns(child, [...path, key])]));
}

function template({ objects, when }: Part): string {
  const body = objects.map(objectTemplate).join('---\n');
  return when ? `{{- if ${test(when)} }}\n${body}{{- end }}\n` : body;
}

function objectTemplate(object: Manifest): string {
  const document = parseDocument(stringify(mark(object), { lineWidth: 0 }));
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === 'string' && node.value.includes('⟦')) node.type = 'QUOTE_DOUBLE';
    },
  });
  const text = document.toString({ lineWidth: 0 });
  // What is in braces already belongs to Prometheus: it must pass through.
  const escaped = text.replace(/\{\{|\}\}/g, (braces) => `{{ "${braces}" }}`);
  return escaped.split('\n').map(expandLine).join('\n');
}

/** The object with stand-ins for what is inserted. */
function mark(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mark);
  if (typeof value !== 'object' || value === null) return value;
  if (isInsert(value)) return markInsert(value);
  if ('whole' in value) return `⟦=${String(value.whole)}⟧`;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, mark(child)]));
}

function markInsert({ insert, slot, when, otherwise }: Insert): string {
  if (insert === 'when') return `⟦?${when?.path} ${when?.is}⟧${String(slot)}`;
  if (insert === 'or') return `⟦?${pathOf(slot).replace('.Values.', '')} ⟧${otherwise}⟦:⟧${String(slot)}`;
  return `⟦${insert === 'yaml' ? '|' : '@'}${pathOf(slot)}⟧`;
}

function pathOf(slot: Slot): string {
  return typeof slot === 'object' ? String(slot.whole) : String(slot).replace(/[⟦⟧#]/g, '');
}

function expandLine(line: string): string {
  const [, indent = '', key = '', path = '', is = '', rest = ''] =
    /^( *)([\w-]+: )"⟦\?(\S+) (\w*)⟧(.*)$/.exec(line) ?? [];
  if (path === '') return expand(line);
  const [then = '', otherwise] = rest.split('⟦:⟧');
  const written = (value: string) => expand(`${indent}${key}"${value}`);
  return [
    `${indent}{{- if ${test({ path, is })} }}`,
    ...(otherwise === undefined ? [written(then)] : [written(`${then}"`), `${indent}{{- else }}`, written(otherwise)]),
    `${indent}{{- end }}`,
  ].join('\n');
}

function expand(line: string): string {
  const deeper = /^[ -]*/.exec(line)?.[0].length ?? 0;
  return line
    .replace(/ "⟦=([^⟧]+)⟧"/, (_, path) => ` {{- toYaml ${path} | nindent ${deeper + 2} }}`)
    .replace(/ "⟦\|([^⟧]+)⟧"/, (_, path) => ` | {{- toYaml ${path} | nindent ${deeper + 2} }}`)
    .replace(/"⟦@([^⟧]+)⟧"/, (_, path) => `{{ toYaml ${path} | sha256sum }}`)
    .replace(/"⟦#([^⟧]+)⟧"/g, (_, path) => `{{ ${path} }}`)
    .replace(/⟦([^⟧]+)⟧/g, (_, path) => `{{ ${path} }}`);
}

function test({ path, is }: Condition): string {
  return is === undefined ? `.Values.${path}` : `eq .Values.${path} "${is}"`;
}
