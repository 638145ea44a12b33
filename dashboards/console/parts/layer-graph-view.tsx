import { useMemo } from 'preact/hooks';
import type { BuildView, ModuleView } from '../../../common/contracts/builds.ts';
import { edgePath, type GraphNode, NODE_HEIGHT as HEIGHT, layoutLayers } from '../state/layer-graph.ts';
import { moduleStage, progressOf } from '../state/module-stage.ts';
import { moduleHref } from './module-link.ts';
import { onLinkClick } from './place.tsx';
import { StageIcon, toneOf } from './stage-mark.tsx';
import { useIsNarrow } from './use-is-narrow.ts';

/** Letters are about so wide, beside the sign and the mark of the critical path. */
const LETTER_PX = 8.4;
const BESIDE_NAME_PX = 56;

interface GraphProps {
  readonly view: BuildView;
  /** Name of the module that is shown. */
  readonly selected: string | undefined;
}

/** The modules as layers, each a link to its details. */
export function LayerGraphView({ view, selected }: GraphProps) {
  const direction = useIsNarrow() ? 'TB' : 'LR';
  // Places change with the shape of the graph only, and that never changes.
  const shape = JSON.stringify([view.modules.map(({ name, dependsOn }) => [name, dependsOn]), view.criticalPath]);
  const graph = useMemo(() => layoutLayers(view.modules, view.criticalPath, direction), [shape, direction]);
  const byName = new Map(view.modules.map((module) => [module.name, module]));
  return (
    <section class="graph" aria-label="Layers">
      <svg width={graph.width} height={graph.height} viewBox={`0 0 ${graph.width} ${graph.height}`}>
        <title>Modules and their parents</title>
        <g class="edges">
          {graph.edges.map(({ from, to, points, isCritical }) => (
            <path key={`${from} ${to}`} d={edgePath(points, graph.direction)} class={isCritical ? 'critical' : ''} />
          ))}
        </g>
        {graph.nodes.map((node) => {
          const module = byName.get(node.name);
          return (
            module && (
              <Node
                key={node.name}
                node={node}
                module={module}
                width={graph.nodeWidth}
                isSelected={node.name === selected}
              />
            )
          );
        })}
      </svg>
      {view.criticalPath.length > 0 && (
        <p class="legend quiet">
          <svg class="diamond" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true">
            <path d="M5 0l5 5-5 5-5-5z" />
          </svg>{' '}
          critical path: the chain that is expected to last longest
        </p>
      )}
    </section>
  );
}

interface NodeProps {
  readonly node: GraphNode;
  readonly module: ModuleView;
  readonly width: number;
  readonly isSelected: boolean;
}

function Node({ node: { x, y, isCritical }, module, width, isSelected }: NodeProps) {
  const { name, action, dependsOn } = module;
  const stage = moduleStage(module);
  const words = `${stage}${action === 'join' ? ', joined' : ''}`;
  const parents = dependsOn.length === 0 ? '' : `, on ${dependsOn.join(', ')}`;
  return (
    <a
      href={moduleHref(name)}
      onClick={onLinkClick}
      class={`node tone-${toneOf(stage)} ${isSelected ? 'selected' : ''}`}
      aria-label={`${name}: ${words}${parents}${isCritical ? ', on the critical path' : ''}`}
      aria-current={isSelected ? 'true' : undefined}
    >
      <g transform={`translate(${x} ${y})`}>
        <title>{name}</title>
        <rect class="box" width={width} height={HEIGHT} rx="7" />
        <g transform="translate(11 10)">
          <StageIcon stage={stage} />
        </g>
        <text class="name" x="34" y="23">
          {cut(name, Math.floor((width - BESIDE_NAME_PX) / LETTER_PX))}
        </text>
        <text class="words" x="34" y="41">
          {words}
        </text>
        {isCritical && <path class="diamond" d={`M${width - 14} 9l5 5-5 5-5-5z`} />}
        <rect class="track" x="11" y={HEIGHT - 8} width={width - 22} height="3" rx="1.5" />
        <rect class="done" x="11" y={HEIGHT - 8} width={(width - 22) * progressOf(module)} height="3" rx="1.5" />
      </g>
    </a>
  );
}

function cut(name: string, length: number): string {
  return name.length > length ? `${name.slice(0, length - 1)}…` : name;
}
