import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
} from 'yaml';

/** Way from the root of a document to a value in it. */
export type Path = readonly (string | number)[];

/** Whether a path leads to a value or to a part of it. */
export function startsWith(path: Path, start: Path): boolean {
  return start.every((step, index) => path[index] === step);
}

/** `<<`, as text or as the symbol of the library. */
export function isMergeKey(node: unknown): boolean {
  const key = isScalar(node) ? node.value : null;
  return key === '<<' || (typeof key === 'symbol' && key.description === '<<');
}

/** The node that each alias stands for: the last one before it with its anchor. */
export function targetsOf(document: Document.Parsed): Map<Alias, Node> {
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

/** Every map below a node. */
export function* mapsOf(node: unknown): Generator<YAMLMap<Node, Node>> {
  if (!isCollection(node)) return;
  if (isMap<Node, Node>(node)) yield node;
  for (const item of node.items) yield* mapsOf(isMap(node) ? (item as Pair<Node, Node>).value : item);
}

/** Every alias below a node. */
export function* aliasesOf(node: unknown): Generator<Alias> {
  if (isAlias(node)) yield node;
  if (!isCollection(node)) return;
  for (const item of node.items) yield* aliasesOf(isMap(node) ? (item as Pair<Node, Node>).value : item);
}

/** The complaint about a key that is already in its map. */
export function repeatedKey(key: Node & { readonly value?: unknown }): string {
  return `the key "${String(key.value)}" is repeated in the same map`;
}

/** Every scalar of a document with its path; a value that an alias repeats is visited once, at its anchor. */
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
