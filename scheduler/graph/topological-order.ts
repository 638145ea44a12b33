/** Nodes are numbers from 0; `parents[n]` are the nodes that n comes after. */
export type Parents = readonly (readonly number[])[];

export interface TopologicalOrder {
  /** Every node that is in no cycle and below none: by depth, then by number. */
  readonly order: readonly number[];
  /** Disjoint cycles, each as the path from child to parent that starts and ends at its smallest node. */
  readonly cycles: readonly (readonly number[])[];
}

/** Orders a graph in linear time. Every cyclic part of the graph contributes at least one cycle. */
export function topologicalOrder(parents: Parents): TopologicalOrder {
  const depths = depthOf(parents);
  const levels: number[][] = [];
  for (const [node, depth] of depths.entries()) {
    if (depth === undefined) continue;
    const level = levels[depth];
    if (level) level.push(node);
    else levels[depth] = [node];
  }
  return { order: levels.flat(), cycles: findCycles(parents, depths) };
}

/** Length of the longest chain above each node; undefined where a cycle keeps the node from ever being reached. */
function depthOf(parents: Parents): (number | undefined)[] {
  const children: number[][] = parents.map(() => []);
  const waiting = parents.map((above, node) => {
    for (const parent of above) children[parent]?.push(node);
    return above.length;
  });
  const depths: (number | undefined)[] = parents.map((above) => (above.length === 0 ? 0 : undefined));
  const ready = [...parents.keys()].filter((node) => waiting[node] === 0);
  for (const node of ready) {
    const next = (depths[node] ?? 0) + 1;
    for (const child of children[node] ?? []) {
      waiting[child] = (waiting[child] ?? 0) - 1;
      if (waiting[child] !== 0) continue;
      // Nodes become ready level by level, so the parent that was waited for longest is the deepest.
      depths[child] = next;
      ready.push(child);
    }
  }
  return depths;
}

/** Every node without a depth has a parent without one, so walking up from it must meet itself. */
function findCycles(parents: Parents, depths: readonly (number | undefined)[]): number[][] {
  const cycles: number[][] = [];
  const visited = new Set<number>();
  for (const start of parents.keys()) {
    const path: number[] = [];
    const positions = new Map<number, number>();
    let node: number | undefined = depths[start] === undefined ? start : undefined;
    while (node !== undefined && !visited.has(node)) {
      visited.add(node);
      positions.set(node, path.length);
      path.push(node);
      node = parents[node]?.find((parent) => depths[parent] === undefined);
    }
    const begin = node === undefined ? undefined : positions.get(node);
    if (begin !== undefined) cycles.push(fromSmallest(path.slice(begin)));
  }
  return cycles;
}

function fromSmallest(cycle: readonly number[]): number[] {
  const smallest = cycle.reduce((a, b) => Math.min(a, b));
  const begin = cycle.indexOf(smallest);
  return [...cycle.slice(begin), ...cycle.slice(0, begin), smallest];
}
