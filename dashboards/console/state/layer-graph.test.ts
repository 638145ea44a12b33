import { expect, test } from 'vitest';
import { criticalModules, edgePath, layoutLayers, NODE_HEIGHT } from './layer-graph.ts';

const LAB = [
  { name: 'base', dependsOn: [] },
  { name: 'web', dependsOn: ['base'] },
  { name: 'db', dependsOn: ['base'] },
  { name: 'app', dependsOn: ['web', 'db', 'base', 'a-module-of-another-build'] },
];
const PATH = ['base.base.import', 'base.base.snapshot', 'db.db.import', 'app.front.import'];

test.each(['LR', 'TB'] as const)('places every module after those that it starts from: %s', (direction) => {
  const { nodes, edges, width, height, nodeWidth } = layoutLayers(LAB, PATH, direction);
  const axis = direction === 'LR' ? 'x' : 'y';
  const at = new Map(nodes.map((node) => [node.name, node]));
  expect(edges.map(({ from, to }) => `${from} ${to}`).toSorted()).toEqual(
    ['base app', 'base db', 'base web', 'db app', 'web app'].toSorted(),
  );
  for (const { from, to } of edges) expect(at.get(from)?.[axis]).toBeLessThan(at.get(to)?.[axis] ?? 0);
  for (const { x, y } of nodes) {
    expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
    expect([x + nodeWidth <= width, y + NODE_HEIGHT <= height]).toEqual([true, true]);
    const overlapping = nodes.filter(
      (other) => Math.abs(other.x - x) < nodeWidth && Math.abs(other.y - y) < NODE_HEIGHT,
    );
    expect(overlapping).toHaveLength(1);
  }
});

test('marks the critical path, module by module', () => {
  const { nodes, edges } = layoutLayers(LAB, PATH, 'LR');
  expect(criticalModules(PATH)).toEqual(['base', 'db', 'app']);
  expect(nodes.filter(({ isCritical }) => isCritical).map(({ name }) => name)).toEqual(['base', 'db', 'app']);
  const critical = edges.filter(({ isCritical }) => isCritical);
  expect(critical.map(({ from, to }) => `${from} ${to}`)).toEqual(['base db', 'db app']);
});

test('draws edges from side to side', () => {
  const points = [
    { x: 0, y: 0 },
    { x: 10, y: 20 },
  ];
  expect(edgePath(points, 'LR')).toBe('M0.0 0.0 C5.0 0.0 5.0 20.0 10.0 20.0');
  expect(edgePath(points, 'TB')).toBe('M0.0 0.0 C0.0 10.0 10.0 10.0 10.0 20.0');
  expect(edgePath([], 'LR')).toBe('');
});
