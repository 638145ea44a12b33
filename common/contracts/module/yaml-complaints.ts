import type { LineCounter, YAMLError } from 'yaml';

/** A text, and where its lines begin. */
interface Lines {
  readonly text: string;
  readonly lines: LineCounter;
}

/** Messages about invalid YAML that state the correction. */
export function syntaxComplaint(error: YAMLError, source: Lines): string {
  if (error.code === 'TAB_AS_INDENT') return yamlComplaint(error.message);
  const number = Math.max(1, source.lines.linePos(error.pos[0]).line);
  return `not valid YAML: ${indentComplaint(error, source, number) ?? yamlComplaint(error.message, lineOf(source, number))}`;
}

function indentComplaint({ message, pos }: YAMLError, source: Lines, number: number): string | null {
  const block = endedBlock(source, number);
  if (block !== null) {
    return `the text block that begins in line ${block} ended before this line, which is indented less: indent it like the others`;
  }
  // A plain text continues in the next lines, as far as they are indented more than its key.
  const line = lineOf(source, number);
  const rest = line.slice(source.lines.linePos(pos[0]).col - 1);
  if (!NESTED.test(message) || /:(\s|$)/.test(rest) || knownLine(line) !== undefined) return null;
  return `line ${number + 1} is indented more than the key above it: indent it like that key`;
}

const NESTED = /^Nested mappings are not allowed in compact/;

/** Patterns of lines that cannot be parsed, with the correction. */
const LINES: readonly (readonly [RegExp, string])[] = [
  [/^\s*\{%/, 'this line is for a template engine such as Jinja, and nothing renders it here'],
  [/\u00a0/, 'this line contains a no-break space (U+00A0): write a plain space'],
  [/^[^#]*:\s+\{\{|^\s*(- )+\{\{/, 'a value that begins with "{{" must be in quotes'],
  [/[[{,:]\s*\$\{/, 'a value with "${" between brackets or braces must be in quotes'],
];

function knownLine(line: string): string | undefined {
  return LINES.find(([pattern]) => pattern.test(line))?.[1];
}

/** Messages of the YAML parser, with the correction. */
const MESSAGES: readonly (readonly [RegExp, string | ((...groups: string[]) => string)])[] = [
  [/^Tabs are not allowed as indentation/, 'a tab cannot indent YAML: use spaces'],
  [
    /^Flow (map|sequence) in block collection must be/,
    (kind) => `a "${kind === 'map' ? '{' : '['}" that was opened before is not closed`,
  ],
  [NESTED, 'a value with ": " in it must be in quotes, or below a "|"'],
  [/^With stringKeys/, 'a key must be a text: put what has braces or brackets in quotes'],
  [
    /^Implicit keys need to be on a single line|^Implicit map keys need to be followed/,
    'this line is neither "key: value" nor a part of the value above it',
  ],
  [
    /^Unexpected .* at node end|^Unexpected .* token in YAML stream/,
    'unexpected text after the end of a value: put the whole value in quotes, or below a "|"',
  ],
  [/^Plain value cannot start with .* character (.)/, (mark) => `a value that begins with "${mark}" must be in quotes`],
  [/^(Unresolved tag): (.*)$/, (found, tag) => `${found} "${tag}": a value that begins with "!" must be in quotes`],
  [
    /^(Invalid escape sequence) (\\.)/,
    (found, written) => `${found} "${written}": in double quotes write two backslashes, or take single quotes`,
  ],
  [/^Missing closing (.)/, (quote) => `a text in quotes (${quote}) is not closed`],
  [/^All mapping items must start at the same column/, 'this line is indented differently from the keys above it'],
  [/^Sequence item without - indicator/, 'this line is indented less than the rest of its list item'],
];

/** The complaint of the YAML parser about a line, with the correction. */
export function yamlComplaint(message: string, line = ''): string {
  const known = knownLine(line);
  if (known !== undefined) return known;
  for (const [pattern, meaning] of MESSAGES) {
    const [found, ...groups] = pattern.exec(message) ?? [];
    if (found !== undefined) return typeof meaning === 'string' ? meaning : meaning(...groups);
  }
  return message;
}

/** Enough of a line to recognise it. */
const MAX_LINE = 1_000;
/** So far around an error a text block is looked for. */
const MAX_LINES_AROUND = 1_000;

function lineOf({ text, lines }: Lines, number: number): string {
  const start = lines.lineStarts[number - 1] ?? 0;
  return text.slice(start, Math.min(lines.lineStarts[number] ?? text.length, start + MAX_LINE)).replace(/\r?\n$/, '');
}

/**
 * The line of the `|` or `>` whose text ended before this line, by its indentation alone; null if none did. Where the
 * text continues below, lines between that happen to be YAML belong to it as well.
 */
function endedBlock(source: Lines, number: number): number | null {
  const broken = indentOf(lineOf(source, number));
  if (broken === null) return null;
  let least = Number.POSITIVE_INFINITY;
  for (let above = number - 1; above >= Math.max(1, number - MAX_LINES_AROUND); above--) {
    const line = lineOf(source, above);
    const indent = indentOf(line);
    if (indent === null) continue;
    if (/(^|[:-]\s+)[|>][-+0-9]*\s*(#.*)?$/.test(line)) {
      const first = firstIndent(source, above + 1, number);
      const keyColumn = /^[- ]*/.exec(line)?.[0].length;
      const isInside = first !== null && broken < first && least > broken && broken !== keyColumn;
      const goesOn = first !== null && first > indent && indentBelow(source, number) === first;
      return isInside || goesOn ? above : null;
    }
    least = Math.min(least, indent);
  }
  return null;
}

/** Null for a line without text. */
function indentOf(line: string): number | null {
  return line.trim() === '' ? null : line.length - line.trimStart().length;
}

function firstIndent(source: Lines, from: number, end: number): number | null {
  for (let number = from; number < end; number++) {
    const indent = indentOf(lineOf(source, number));
    if (indent !== null) return indent;
  }
  return null;
}

/** The indentation of the next line that is indented more than this one, among those that follow closely. */
function indentBelow(source: Lines, number: number): number | null {
  const own = indentOf(lineOf(source, number)) ?? 0;
  const end = Math.min(number + 10, source.lines.lineStarts.length);
  for (let below = number + 1; below <= end; below++) {
    const indent = indentOf(lineOf(source, below));
    if (indent !== null && indent > own) return indent;
  }
  return null;
}
