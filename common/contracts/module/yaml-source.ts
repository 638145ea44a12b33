import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  type YAMLError,
  type YAMLMap,
} from 'yaml';
import type { Position } from './position.ts';
import type { ModuleProblem } from './problem.ts';
import { syntaxComplaint } from './yaml-complaints.ts';
import { aliasesOf, isMergeKey, mapsOf, type Path, scalarsOf, targetsOf } from './yaml-nodes.ts';

/** A file as it was read: its name for messages, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One YAML (or JSON) document that knows where its values are. */
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

  /** Its YAML errors, in the order of reading. Later errors in the same line follow from the first. */
  get errors(): readonly YAMLError[] {
    let last = 0;
    return [...this.document.errors, ...this.document.warnings].filter(({ pos: [start] }) => {
      const { line } = this.#lines.linePos(start);
      const isFirst = line !== last;
      last = line;
      return isFirst;
    });
  }

  /** One of `errors` with its correction. */
  problemOf(error: YAMLError): ModuleProblem {
    const place = this.positionAt(error.pos[0]);
    const message = syntaxComplaint(error, { text: this.#text, lines: this.#lines });
    return { ...place, severity: 'error', code: 'Syntax', message };
  }

  /** Every key that is in its map already. The reader would compare each key with all others. */
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

  /** Every alias without an anchor above it. */
  *danglingAliases(): Generator<Alias> {
    for (const alias of aliasesOf(this.document.contents)) if (!this.#resolve(alias)) yield alias;
  }

  /** Where a piece of a scalar is in the file, the scalar's start when escapes hide it. */
  positionWithin(node: Node, piece: string): Position {
    const [start, end] = node.range ?? [0, 0];
    const offset = this.#text.slice(start, end).indexOf(piece);
    return this.positionAt(start + Math.max(0, offset));
  }

  /** Position of the value at a path; of its key if the value is a collection or empty; else of the nearest parent. */
  locate(path: Path): Position {
    const { node, key, isWhole } = this.#walk(path);
    const pointsAtValue = isWhole && isScalar(node) && node.value !== null;
    return this.#start(pointsAtValue ? node : (key ?? node));
  }

  /** The place of a piece of the scalar at a path. */
  locatePiece(path: Path, piece: string): Position {
    const { node } = this.#walk(path);
    return node ? this.positionWithin(node, piece) : this.locate(path);
  }

  /**
   * The place of a line and column of the text at a path. Of a text that is folded or has escapes only its start is
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
    // A token that is missing at the end of a text is reported behind its last line.
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

/** The pairs of a map by key, the later of two equal ones, and the merged pairs. */
interface MapIndex {
  readonly pairs: ReadonlyMap<unknown, Pair<Node, Node>>;
  readonly merged: readonly (Node | null)[];
}
