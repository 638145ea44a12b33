import { Cursor } from '../module/cursor.ts';
import { MAX_LISTED } from '../module/problem-list.ts';
import { didYouMean } from '../module/suggest.ts';
import type { YamlBudget } from '../module/yaml-limits.ts';
import type { Path } from '../module/yaml-nodes.ts';
import { type ConfigContext, configDoubts } from './config-doubts.ts';
import { HEADERS, readUserData, type UserDataKind } from './kinds.ts';
import { readYaml11, type TextFinding } from './yaml-1-1.ts';

/** The part of the module that user data must fit. */
export interface UserDataContext extends ConfigContext {
  /** The remaining budget of the request. */
  readonly budget: YamlBudget;
}

/**
 * Problems in user data that cloud-init would ignore or misread, as far as the text shows. Errors are parts that it cannot
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
  if (kind === 'jinja') return templateFindings(text);
  if (kind === 'script') return scriptFindings(text);
  if (kind === 'mime') return mimeFindings(text, context);
  if (kind !== 'cloud-config' && kind !== 'cloud-config-archive') return [];
  const { findings, document, value } = readYaml11(text, context.budget);
  // Only a header: no checks.
  if (!document || value === null || value === undefined) return [...findings];
  const isConfig = kind === 'cloud-config';
  if (Array.isArray(value) === isConfig || typeof value !== 'object') {
    const { line, column } = document.locate([]);
    const shape = isConfig ? 'a map of keys and values' : 'a list of parts';
    return [...findings, { ...AN_ERROR, line, column, message: `after its header a #${kind} must be ${shape}` }];
  }
  const place = (path: Path) => {
    const { line, column } = document.locateKey(path);
    return { line, column };
  };
  const root = new Cursor(value);
  const more = isConfig
    ? [...take(MAX_LISTED, configDoubts(root, context))].map(({ path, message }) => ({
        ...A_DOUBT,
        ...place(path),
        message,
      }))
    : root.list().flatMap((part) => within(place(part.path), partFindings(part, context)));
  return [...findings, ...more];
}

function* take<T>(most: number, items: Iterable<T>): Generator<T> {
  let count = 0;
  for (const item of items) {
    if (count++ === most) return;
    yield item;
  }
}

/** Findings of a text that is at a place of another one. */
function within(place: { line: number; column: number }, findings: readonly TextFinding[]): TextFinding[] {
  return findings.map((finding) => ({ ...finding, ...place }));
}

/** A part of an archive: a text, or a map with one under `content`. */
function partFindings(part: Cursor, context: UserDataContext): TextFinding[] {
  const content = typeof part.value === 'string' ? part.value : part.at('content').text;
  if (content === null) return [];
  const type = part.at('type').text;
  if (type === null) return findingsOf(content, readUserData(Buffer.from(content)).kind, context);
  return type === 'text/cloud-config' ? findingsOf(content, 'cloud-config', context) : [];
}

/** The parts of a message that are configurations; the others are the business of whom they are for. */
function mimeFindings(text: string, context: UserDataContext): TextFinding[] {
  const [, quotedMark, mark = quotedMark] = /boundary=(?:"([^"\n]+)"|([^\s;]+))/i.exec(text) ?? [];
  if (mark === undefined) return [];
  const lines = text.split('\n');
  const marks = lines.flatMap((line, index) => (line.trimEnd().startsWith(`--${mark}`) ? [index] : []));
  return marks.slice(0, -1).flatMap((start, index) => {
    const part = lines.slice(start + 1, marks[index + 1]);
    const end = part.findIndex((line) => line.trim() === '');
    const header = part.slice(0, end).join('\n');
    const isPlain = !/^content-transfer-encoding:\s*(base64|quoted)/im.test(header);
    if (end === -1 || !isPlain || !/^content-type:\s*text\/cloud-config\b/im.test(header)) return [];
    const above = start + 1 + end + 1;
    const found = findingsOf(part.slice(end + 1).join('\n'), 'cloud-config', context);
    return found.map((finding) => ({ ...finding, line: finding.line + above }));
  });
}

/** The output of the template is read like any other user data, by its first line. */
function templateFindings(text: string): TextFinding[] {
  const [, ...rest] = text.trimStart().split('\n');
  const first = rest.find((line) => line.trim() !== '') ?? '';
  // A statement or an expression may make the header.
  if (first === '' || /^\s*\{[{%#]/.test(first) || readUserData(Buffer.from(first)).kind !== null) return [];
  const message = 'cloud-init ignores a template without a header: write "#cloud-config" below "## template: jinja"';
  return [{ ...A_DOUBT, ...START, message }];
}

function scriptFindings(text: string): TextFinding[] {
  if (!/^\s*#![^\n]*\r\n/.test(text)) return [];
  const message = 'its first line ends with CRLF, so the guest finds no such interpreter: write plain line ends';
  return [{ ...A_DOUBT, ...START, message }];
}

const AN_ERROR = { severity: 'error', code: 'InvalidValue' } as const;
const A_DOUBT = { severity: 'warning', code: 'Doubtful' } as const;

/** cloud-init determines the kind of user data by its first line; it ignores unknown kinds, with a line in its log. */
function headerFindings(text: string): TextFinding[] {
  // A secret may stand for the whole.
  if (text.trim() === '' || /^\s*\ufdd0/.test(text)) return [];
  if (text.startsWith('\ufeff')) {
    const message =
      'begins with a byte order mark, so cloud-init does not know the header and ignores it: remove the mark';
    return [{ ...A_DOUBT, ...START, message }];
  }
  const message = `cloud-init ignores user data without a header: ${headerRemedy(text)}`;
  return [{ ...A_DOUBT, ...START, message }];
}

/** How user data of other programs begins. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^\{\s*"ignition"/, 'this is Ignition, which reads no cloud-init disk'],
  [/^(#ps1|<powershell>|rem cmd\b)/i, 'this is for cloudbase-init on Windows'],
  [/^##\s*template:/i, 'write "## template: jinja", with these blanks'],
  [/^#\s+!/, 'write "#!" without a blank'],
  [
    /^variant: *(fcos|flatcar|openshift|fiot)\b/i,
    'this is Butane, the source of Ignition, which reads no cloud-init disk',
  ],
  [/^(#_preseed|d-i +\S)/i, 'this is a preseed: serve it by httpDirectory, and name it in the boot command'],
  [
    /^(#version=|(lang|keyboard|rootpw|bootloader|clearpart|zerombr|cdrom|install)\b(?! *[:=]))/i,
    'this is a kickstart: serve it by httpDirectory, and name it in the boot command',
  ],
  [/^<\?xml|^<unattend/i, 'this is an answer file of an installer: put it on a floppy, or serve it by httpDirectory'],
  [
    /^(\.{0,2}\/|~\/|\S*\.(ya?ml|cfg|sh|txt|conf)\s*$)\S*\s*$/i,
    'this is a path, and userData is the text itself: write it here',
  ],
  [/^content-type:/i, 'a MIME message needs the line "MIME-Version: 1.0" among its first ones'],
];

function headerRemedy(text: string): string {
  const lines = text.trimStart().split('\n', 20);
  const [first = ''] = lines;
  const [, foreign] = FOREIGN.find(([pattern]) => pattern.test(first)) ?? [];
  if (foreign !== undefined) return foreign;
  const below = lines.find((line) => HEADERS.some((header) => line.trimEnd().toLowerCase() === header));
  if (below !== undefined) return `move "${below.trimEnd()}" up to the first line`;
  const near = first.startsWith('#') ? didYouMean(first.trim().replaceAll(' ', ''), HEADERS.slice(0, 5)) : '';
  if (near.includes('did you mean')) return near.slice(2);
  return 'write "#cloud-config" (or "#!/bin/sh" for a script) above it';
}
