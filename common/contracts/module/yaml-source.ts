import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type YAMLError,
} from 'yaml';
import { errorMessage } from '../../errors/farm-error.ts';
import type { Position } from './compiled.ts';
import type { Parsed } from './parsed.ts';
import type { Problem, ProblemCode } from './problem.ts';

/** Way from the root of a document to a value in it. */
export type Path = readonly (string | number)[];

export function startsWith(path: Path, start: Path): boolean {
  return start.every((step, index) => path[index] === step);
}

/** A file as it was read: its name for messages, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One YAML (or JSON) document that knows where its values stand. */
export class SourceDocument {
  readonly file: string;
  readonly document: Document.Parsed;
  /** What is wrong with its YAML and does not keep it from being read. */
  readonly problems: readonly Problem[];
  readonly #lines: LineCounter;
  readonly #text: string;

  constructor(source: SourceFile, document: Document.Parsed, lines: LineCounter) {
    this.file = source.path;
    this.document = document;
    this.#lines = lines;
    this.#text = source.text;
    const problems = [...document.errors, ...document.warnings].map(
      (error): Problem => ({
        ...this.positionAt(error.pos[0]),
        severity: 'error',
        ...describe(error, source.text),
      }),
    );
    // One slip makes the reader stumble several times over a line.
    this.problems = problems.filter(
      ({ line, message }, index) =>
        problems.findIndex((other) => other.line === line && other.message === message) === index,
    );
  }

  positionAt(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Where a piece of a scalar stands in the file, the scalar's start when escapes hide it. */
  positionWithin(node: Node, piece: string): Position {
    const [start, end] = node.range ?? [0, 0];
    const offset = this.#text.slice(start, end).indexOf(piece);
    return this.positionAt(start + Math.max(0, offset));
  }

  /** Where the value at a path stands; its key when the value is a collection or nothing; else what should hold it. */
  locate(path: Path): Position {
    const { node, key, isWhole } = this.#walk(path);
    const pointsAtValue = isWhole && isScalar(node) && node.value !== null;
    return this.#start(pointsAtValue ? node : (key ?? node));
  }

  /** Where a piece of the scalar at a path stands. */
  locatePiece(path: Path, piece: string): Position {
    const { node } = this.#walk(path);
    return node ? this.positionWithin(node, piece) : this.locate(path);
  }

  /**
   * Where a line and column of the text at a path stand. Of a text that is folded or has escapes only its start is
   * known.
   */
  locateWithin(path: Path, { line, column }: { readonly line: number; readonly column: number }): Position {
    const { node } = this.#walk(path);
    if (!isScalar(node) || node.type !== 'BLOCK_LITERAL' || !node.range) return this.locate(path);
    const lines = this.#text.slice(node.range[0], node.range[1]).split('\n').slice(1);
    const first = lines.find((candidate) => candidate.trim() !== '') ?? '';
    const start = this.positionAt(node.range[0]);
    return { ...start, line: start.line + line, column: first.search(/[^ ]|$/) + column };
  }

  /** Whether the text at a path stands below a `>`, which makes one line of several. */
  isFolded(path: Path): boolean {
    const { node } = this.#walk(path);
    if (!isScalar(node) || node.type !== 'BLOCK_FOLDED' || !node.range) return false;
    const written = this.#text.slice(node.range[0], node.range[1]).split('\n').slice(1);
    const count = (lines: readonly string[]) => lines.filter((line) => line.trim() !== '').length;
    return count(String(node.value).split('\n')) < count(written);
  }

  locateKey(path: Path): Position {
    const { node, key } = this.#walk(path);
    return this.#start(key ?? node);
  }

  #start(node: Node | null): Position {
    return this.positionAt(node?.range?.[0] ?? this.document.range[0]);
  }

  #walk(path: Path): { node: Node | null; key: Node | null; isWhole: boolean } {
    let node: Node | null = this.document.contents;
    let key: Node | null = null;
    for (const step of path) {
      const next = this.#child(node, step);
      if (!next) return { node, key, isWhole: false };
      key = next.key;
      node = next.node;
    }
    return { node: this.#resolve(node), key, isWhole: true };
  }

  #child(parent: Node | null, step: string | number): { node: Node | null; key: Node | null } | null {
    const collection = this.#resolve(parent);
    if (isSeq<Node>(collection)) {
      const item = collection.items[Number(step)];
      return item ? { node: item, key: null } : null;
    }
    if (!isMap<Node, Node>(collection)) return null;
    const own = collection.items.findLast((pair) => isScalar(pair.key) && pair.key.value === step);
    if (own) return { node: own.value, key: own.key };
    for (const merged of collection.items.filter(isMergePair)) {
      const value = this.#resolve(merged.value);
      for (const source of isSeq<Node>(value) ? value.items : [value]) {
        const found = this.#child(source, step);
        if (found) return found;
      }
    }
    return null;
  }

  #resolve(node: Node | null): Node | null {
    return isAlias(node) ? (node.resolve(this.document) ?? null) : node;
  }
}

function isMergePair(pair: Pair<Node, Node>): boolean {
  const key = isScalar(pair.key) ? pair.key.value : null;
  return key === '<<' || (typeof key === 'symbol' && key.description === '<<');
}

/** Reads the documents of a file; those that are empty or cannot be understood are left out. */
export function readDocuments(source: SourceFile): { documents: SourceDocument[]; problems: Problem[] } {
  const lines = new LineCounter();
  const read = parseYaml(source.text, lines);
  if ('complaint' in read) return { documents: [], problems: [wholeFile(source, 'Syntax', read.complaint)] };
  const documents: SourceDocument[] = [];
  const problems: Problem[] = [];
  for (const document of read.value) {
    const located = new SourceDocument(source, document, lines);
    const isReadable = document.errors.every((error) => error.code === 'DUPLICATE_KEY');
    const isEmpty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
    if (isReadable && !isEmpty) documents.push(located);
    else problems.push(...located.problems);
  }
  if (documents.length === 0 && problems.length === 0) {
    problems.push(wholeFile(source, 'EmptyFile', 'the file holds no module'));
  }
  return { documents, problems };
}

function parseYaml(text: string, lineCounter: LineCounter): Parsed<readonly Document.Parsed[]> {
  try {
    const options = { lineCounter, prettyErrors: false, merge: true, stringKeys: true, logLevel: 'silent' } as const;
    const read = parseAllDocuments(text, options);
    return { value: 'empty' in read ? [] : read };
  } catch (error) {
    // The reader calls itself for each level of nesting: a file may exhaust the stack.
    return { complaint: `not valid YAML: ${errorMessage(error)}` };
  }
}

function wholeFile(source: SourceFile, code: ProblemCode, message: string): Problem {
  return { file: source.path, line: 1, column: 1, severity: 'error', code, message };
}

function describe(error: YAMLError, text: string): { code: ProblemCode; message: string } {
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^["']?([^"':\s]*)/.exec(text.slice(error.pos[0]))?.[1];
    return { code: 'DuplicateKey', message: `the key "${key}" stands twice in the same map` };
  }
  if (error.code === 'TAB_AS_INDENT') return { code: 'Syntax', message: 'a tab cannot indent YAML: use spaces' };
  const [start] = error.pos;
  const line = text.slice(text.lastIndexOf('\n', start - 1) + 1).split('\n', 1)[0] ?? '';
  if (/^[^#]*:\s+\{\{|^\s*(- )+\{\{/.test(line)) {
    return { code: 'Syntax', message: 'not valid YAML: a value that begins with "{{" must stand in quotes' };
  }
  const block = endedBlock(text, start);
  if (block !== null) {
    const message = `not valid YAML: the text block that begins in line ${block} ended before this line, which is indented less: indent it like the others`;
    return { code: 'Syntax', message };
  }
  return { code: 'Syntax', message: `not valid YAML: ${yamlComplaint(error.message)}` };
}

/** The line of the `|` or `>` whose text a line before this one ended, by its indentation alone; null if none did. */
function endedBlock(text: string, offset: number): number | null {
  const lines = text.slice(0, offset).split('\n');
  const indentOf = (line: string) => line.length - line.trimStart().length;
  const broken = text.split('\n')[lines.length - 1] ?? '';
  if (broken.trim() === '') return null;
  for (let index = lines.length - 2; index >= 0; index--) {
    const line = lines[index] ?? '';
    if (line.trim() === '') continue;
    const isHeader = /(^|[:-]\s+)[|>][-+0-9]*\s*(#.*)?$/.test(line);
    if (isHeader) return indentOf(broken) <= indentOf(line) && index < lines.length - 2 ? index + 1 : null;
    if (indentOf(line) <= indentOf(broken)) return null;
  }
  return null;
}

/** What the reader of YAML complains of, in words that say what to write. */
export function yamlComplaint(message: string): string {
  const [, kind] = /^Flow (map|sequence) in block collection must be/.exec(message) ?? [];
  if (kind) return `a "${kind === 'map' ? '{' : '['}" that was opened before is not closed`;
  if (/^Nested mappings are not allowed in compact mappings/.test(message)) {
    return 'a value with ": " in it must stand in quotes, or below a "|"';
  }
  if (/^With stringKeys/.test(message)) return 'a key must be a text: put what has braces or brackets in quotes';
  if (/^Implicit keys need to be on a single line|^Implicit map keys need to be followed/.test(message)) {
    return 'this line is neither "key: value" nor a part of the value above it';
  }
  return message;
}

/** Every scalar of a document with its path; what an alias repeats is visited once, where it stands. */
export function* scalarsOf(node: unknown, path: Path = []): Generator<{ node: Node & { value: unknown }; path: Path }> {
  if (isScalar(node)) yield { node, path };
  if (!isCollection(node)) return;
  for (const [index, item] of node.items.entries()) {
    if (isSeq(node)) yield* scalarsOf(item, [...path, index]);
    else if (isMap(node)) {
      const pair = item as Pair<Node, Node>;
      yield* scalarsOf(pair.value, [...path, isScalar(pair.key) ? String(pair.key.value) : '']);
    }
  }
}
