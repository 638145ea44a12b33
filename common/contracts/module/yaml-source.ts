import {
  type Alias,
  Composer,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  visit,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import { errorMessage } from '../../errors/farm-error.ts';
import type { Position } from './compiled.ts';
import { foreignFile } from './foreign-files.ts';
import type { Parsed } from './parsed.ts';
import type { Problem, ProblemCode } from './problem.ts';
import { syntaxComplaint } from './yaml-complaints.ts';
import { type Excess, YAML_LIMITS, type YamlBudget } from './yaml-limits.ts';

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
  readonly #lines: LineCounter;
  readonly #text: string;
  readonly #children = new Map<YAMLMap<Node, Node>, MapIndex>();
  #targets: ReadonlyMap<Alias, Node> | null = null;

  constructor(source: SourceFile, document: Document.Parsed, lines: LineCounter) {
    this.file = source.path;
    this.document = document;
    this.#lines = lines;
    this.#text = source.text;
  }

  /** What is wrong with its YAML, in the order in which it was read. What follows in the same line comes of the first. */
  get errors(): readonly YAMLError[] {
    let last = 0;
    return [...this.document.errors, ...this.document.warnings].filter(({ pos: [start] }) => {
      const { line } = this.#lines.linePos(start);
      const isFirst = line !== last;
      last = line;
      return isFirst;
    });
  }

  /** One of `errors` in words that say what to write. */
  problemOf(error: YAMLError): Problem {
    const place = this.positionAt(error.pos[0]);
    const message = syntaxComplaint(error, { text: this.#text, lines: this.#lines });
    return { ...place, severity: 'error', code: 'Syntax', message };
  }

  /** Every key that stands in its map already. The reader would compare each key with all others. */
  *repeatedKeys(): Generator<Node> {
    for (const map of mapsOf(this.document.contents)) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key) || isMergeKey(key)) continue;
        if (seen.has(key.value)) yield key;
        seen.add(key.value);
      }
    }
  }

  positionAt(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Every alias above which nothing has its anchor. */
  *danglingAliases(): Generator<Alias> {
    for (const alias of aliasesOf(this.document.contents)) if (!this.#resolve(alias)) yield alias;
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
    const indented = first.search(/[^ ]|$/) + column;
    if (indented <= (lines[line - 1]?.length ?? -1) + 1) return { ...start, line: start.line + line, column: indented };
    // What is missing at the end of a text is missing behind its last line.
    const last = Math.max(1, 1 + lines.slice(0, line).findLastIndex((candidate) => candidate.trim() !== ''));
    return { ...start, line: start.line + last, column: (lines[last - 1] ?? '').length + 1 };
  }

  /** Every key that is a list or a map, which Python cannot have. */
  *collectionKeys(): Generator<Node> {
    for (const map of mapsOf(this.document.contents)) for (const { key } of map.items) if (isCollection(key)) yield key;
  }

  /** Every scalar behind a lone `!`, which YAML takes for the mark of a type. */
  *droppedMarks(): Generator<Node> {
    for (const { node } of scalarsOf(this.document.contents)) {
      if (node.range && /(^|\s)!\s+$/.test(this.#text.slice(Math.max(0, node.range[0] - 20), node.range[0])))
        yield node;
    }
  }

  /** Whether the text at a path is written so that one line is made of several: below a `>`, or without a `|`. */
  isFolded(path: Path): boolean {
    const { node } = this.#walk(path);
    if (!isScalar(node) || node.type === 'BLOCK_LITERAL' || !node.range) return false;
    const lines = this.#text.slice(node.range[0], node.range[1]).split('\n');
    const written = node.type === 'BLOCK_FOLDED' ? lines.slice(1) : lines;
    const count = (lines: readonly string[]) => lines.filter((line) => line.trim() !== '').length;
    return count(written) > 1 && count(String(node.value).split('\n')) < count(written);
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

  #child(
    parent: Node | null,
    step: string | number,
    looked = new Set<object>(),
  ): { node: Node | null; key: Node | null } | null {
    const collection = this.#resolve(parent);
    if (isSeq<Node>(collection)) {
      const item = collection.items[Number(step)];
      return item ? { node: item, key: null } : null;
    }
    if (!isMap<Node, Node>(collection)) return null;
    const { pairs, merged } = this.#indexOf(collection);
    const own = pairs.get(step);
    if (own) return { node: own.value, key: own.key };
    if (looked.has(collection)) return null;
    looked.add(collection);
    for (const source of merged) {
      const found = this.#child(source, step, looked);
      if (found) return found;
    }
    return null;
  }

  #indexOf(map: YAMLMap<Node, Node>): MapIndex {
    const known = this.#children.get(map);
    if (known) return known;
    const pairs = new Map<unknown, Pair<Node, Node>>();
    const merged: (Node | null)[] = [];
    for (const pair of map.items) {
      if (isMergeKey(pair.key)) {
        const value = this.#resolve(pair.value);
        merged.push(...(isSeq<Node>(value) ? value.items : [value]));
      } else if (isScalar(pair.key)) pairs.set(pair.key.value, pair);
    }
    const index = { pairs, merged };
    this.#children.set(map, index);
    return index;
  }

  /** An alias means the last of the anchors of its name before it. */
  #resolve(node: Node | null): Node | null {
    if (!isAlias(node)) return node;
    this.#targets ??= targetsOf(this.document);
    return this.#targets.get(node) ?? null;
  }
}

/** The pairs of a map by key, the later of two equal ones, and what is merged into it. */
interface MapIndex {
  readonly pairs: ReadonlyMap<unknown, Pair<Node, Node>>;
  readonly merged: readonly (Node | null)[];
}

function isMergeKey(node: unknown): boolean {
  const key = isScalar(node) ? node.value : null;
  return key === '<<' || (typeof key === 'symbol' && key.description === '<<');
}

function targetsOf(document: Document.Parsed): Map<Alias, Node> {
  const anchored = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Node: (_key, node) => {
      const target = isAlias(node) ? anchored.get(node.source) : undefined;
      if (isAlias(node) && target) targets.set(node, target);
      else if (!isAlias(node) && node.anchor) anchored.set(node.anchor, node);
    },
  });
  return targets;
}

function* mapsOf(node: unknown): Generator<YAMLMap<Node, Node>> {
  if (!isCollection(node)) return;
  if (isMap<Node, Node>(node)) yield node;
  for (const item of node.items) yield* mapsOf(isMap(node) ? (item as Pair<Node, Node>).value : item);
}

function* aliasesOf(node: unknown): Generator<Alias> {
  if (isAlias(node)) yield node;
  if (!isCollection(node)) return;
  for (const item of node.items) yield* aliasesOf(isMap(node) ? (item as Pair<Node, Node>).value : item);
}

/** Documents that can be understood, and what is wrong in the others. */
export interface ReadDocuments {
  readonly documents: readonly SourceDocument[];
  /** Each is only described when it is asked for. */
  readonly problems: readonly (() => Problem)[];
}

/** Reads the documents of a file; those that are empty or cannot be understood are left out. */
export function readDocuments(source: SourceFile, budget: YamlBudget): ReadDocuments {
  const foreign = foreignFile(source.text);
  if (foreign !== undefined) return { documents: [], problems: [() => wholeFile(source, 'UnknownKind', foreign)] };
  const lines = new LineCounter();
  const read = parseYaml(source.text, lines, budget);
  if ('complaint' in read) return { documents: [], problems: [() => wholeFile(source, 'Syntax', read.complaint)] };
  const { documents: all, excess } = read.value;
  const documents: SourceDocument[] = [];
  const problems: (() => Problem)[] = [];
  for (const document of all) {
    const located = new SourceDocument(source, document, lines);
    const isEmpty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
    if (document.errors.length === 0 && !isEmpty) documents.push(located);
    else problems.push(...located.errors.map((error) => () => located.problemOf(error)));
  }
  if (excess) {
    const { line, col } = lines.linePos(excess.offset);
    const place = { file: source.path, line: Math.max(1, line), column: Math.max(1, col) };
    problems.push(() => ({ ...place, severity: 'error', code: 'TooLarge', message: excess.complaint }));
  }
  if (documents.length === 0 && problems.length === 0) {
    problems.push(() => wholeFile(source, 'EmptyFile', 'the file holds no module'));
  }
  return { documents, problems };
}

interface ParsedYaml {
  readonly documents: readonly Document.Parsed[];
  /** What has too much of something is not read at all. */
  readonly excess: Excess | null;
}

/** The version of YAML, and what else the reader is to know. */
export type YamlOptions = ConstructorParameters<typeof Composer>[0];

const MODULE_YAML: YamlOptions = { merge: true, stringKeys: true };

/** Reads a text within what a budget leaves. Equal keys in a map are not looked for: see `repeatedKeys`. */
export function parseYaml(
  text: string,
  lines: LineCounter,
  budget: YamlBudget,
  options: YamlOptions = MODULE_YAML,
): Parsed<ParsedYaml> {
  const parser = new Parser();
  // The parser forgets line ends where it stumbles.
  for (let at = 0; at !== 0 || lines.lineStarts.length === 0; at = text.indexOf('\n', at) + 1) lines.addNewLine(at);
  const { lexemes, excess } = budget.lex(text);
  if (excess) return { value: { documents: [], excess } };
  const { stackTraceLimit } = Error;
  try {
    // A trace for each complaint takes ten times as long as the reading.
    Error.stackTraceLimit = 0;
    const tokens = [];
    for (const lexeme of lexemes) {
      for (const token of parser.next(lexeme)) tokens.push(token);
      if (parser.stack.length <= YAML_LIMITS.depth) continue;
      const complaint = `more than ${YAML_LIMITS.depth} lists and maps stand in each other here`;
      return { value: { documents: [], excess: { offset: parser.offset, complaint } } };
    }
    tokens.push(...parser.end());
    const composer = new Composer({
      ...options,
      prettyErrors: false,
      logLevel: 'silent',
      uniqueKeys: false,
    });
    return { value: { documents: [...composer.compose(tokens)] as Document.Parsed[], excess: null } };
  } catch (error) {
    return { complaint: `not valid YAML: ${errorMessage(error)}` };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function wholeFile(source: SourceFile, code: ProblemCode, message: string): Problem {
  return { file: source.path, line: 1, column: 1, severity: 'error', code, message };
}

/** That a key stands in its map already. */
export function repeatedKey(key: Node & { readonly value?: unknown }): string {
  return `the key "${String(key.value)}" stands twice in the same map`;
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
