import { Graph, layout } from '@dagrejs/dagre';
import type { ModuleView } from '../../../common/contracts/builds.ts';

export const NODE_HEIGHT = 58;
/** Two beside each other fit a phone. */
const NODE_WIDTHS = { LR: 188, TB: 148 } as const;
const MARGIN = 12;

/** `LR`: parents on the left; `TB`: parents at the top, for narrow screens. */
export type Direction = 'LR' | 'TB';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A module; its place is that of its upper left corner. */
export interface GraphNode extends Point {
  readonly name: string;
  readonly isCritical: boolean;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly points: readonly Point[];
  readonly isCritical: boolean;
}

export interface LayerGraph {
  readonly direction: Direction;
  readonly nodeWidth: number;
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

type GraphModule = Pick<ModuleView, 'name' | 'dependsOn'>;

/** Places modules in layers, every one after those that it starts from. `criticalPath` are ids of phase jobs. */
export function layoutLayers(
  modules: readonly GraphModule[],
  criticalPath: readonly string[],
  direction: Direction,
): LayerGraph {
  const nodeWidth = NODE_WIDTHS[direction];
  const graph = new Graph();
  graph.setGraph({ rankdir: direction, nodesep: 16, ranksep: 52, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { name } of modules) graph.setNode(name, { width: nodeWidth, height: NODE_HEIGHT });
  for (const { name, dependsOn } of modules) {
    for (const parent of dependsOn) if (graph.hasNode(parent)) graph.setEdge(parent, name);
  }
  layout(graph);
  const critical = criticalModules(criticalPath);
  const { width = 0, height = 0 } = graph.graph();
  // Edges leave and reach nodes in the middle of a side.
  const half = direction === 'LR' ? { x: nodeWidth / 2, y: 0 } : { x: 0, y: NODE_HEIGHT / 2 };
  const side = (name: string, sign: 1 | -1): Point => {
    const { x, y } = graph.node(name);
    return { x: x + sign * half.x, y: y + sign * half.y };
  };
  return {
    direction,
    nodeWidth,
    width,
    height,
    nodes: modules.map(({ name }) => {
      const { x, y } = graph.node(name);
      const corner = { x: x - nodeWidth / 2, y: y - NODE_HEIGHT / 2 };
      return { name, ...corner, isCritical: critical.includes(name) };
    }),
    edges: graph.edges().map(({ v: from, w: to }) => {
      const at = critical.indexOf(from);
      const { points = [] } = graph.edge(from, to);
      // Three points: the middle one marks the gap.
      const bends = points.length > 3 ? points.slice(1, -1) : [];
      return {
        from,
        to,
        points: [side(from, 1), ...bends, side(to, -1)],
        isCritical: at >= 0 && critical[at + 1] === to,
      };
    }),
  };
}

/** Modules of a chain of jobs, each once. Names of modules hold no dots. */
export function criticalModules(criticalPath: readonly string[]): string[] {
  return [...new Set(criticalPath.map((job) => job.slice(0, job.indexOf('.'))))];
}

/** An SVG path through the points that leaves and reaches each in the direction of the graph. */
export function edgePath(points: readonly Point[], direction: Direction): string {
  return points
    .map((to, index) => {
      const from = points[index - 1];
      if (!from) return `M${text(to)}`;
      const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
      const controls =
        direction === 'LR'
          ? [
              { x: middle.x, y: from.y },
              { x: middle.x, y: to.y },
            ]
          : [
              { x: from.x, y: middle.y },
              { x: to.x, y: middle.y },
            ];
      return `C${[...controls, to].map(text).join(' ')}`;
    })
    .join(' ');
}

function text({ x, y }: Point): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}
