import { METRICS } from '../../common/metrics/metric-table.ts';
import { DATASOURCE, type Panel, type Row, renderPanel } from './panels.ts';

/** A page of panels. */
export interface Dashboard {
  /** Stable: links and bookmarks name it. */
  readonly uid: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

const COLUMNS = 24;
const STAT = { w: 4, h: 4 };
const CHART = { w: 12, h: 8 };
/** Of the page's form; newer Grafanas migrate it. */
const SCHEMA_VERSION = 39;

/** Grafana's form of a page: rows from top to bottom, panels from left to right. */
export function renderDashboard({ uid, title, rows }: Dashboard): object {
  return {
    uid,
    title: `Slipway / ${title}`,
    tags: ['slipway'],
    schemaVersion: SCHEMA_VERSION,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    templating: { list: VARIABLES },
    links: LINKS,
    annotations: { list: [] },
    panels: place(rows),
  };
}

function place(rows: readonly Row[]): object[] {
  const panels: object[] = [];
  let y = 0;
  let id = 0;
  for (const row of rows) {
    id += 1;
    panels.push({
      id,
      type: 'row',
      title: row.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y += 1;
    let x = 0;
    let tallest = 0;
    for (const panel of row.panels) {
      const { w, h } = sizeOf(panel);
      if (x + w > COLUMNS) {
        y += tallest;
        x = 0;
        tallest = 0;
      }
      id += 1;
      panels.push(renderPanel(panel, { id, x, y, w, h }));
      x += w;
      tallest = Math.max(tallest, h);
    }
    y += tallest;
  }
  return panels;
}

function sizeOf({ kind, width }: Panel): { w: number; h: number } {
  const usual = kind === 'stat' ? STAT : CHART;
  return { w: width ?? usual.w, h: usual.h };
}

const VARIABLES = [
  { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
  {
    name: 'cluster',
    label: 'Cluster',
    type: 'query',
    datasource: DATASOURCE,
    query: `label_values(${METRICS.slotsLimit.name}, cluster)`,
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: ['All'], value: ['$__all'] },
  },
  {
    name: 'farm',
    label: "Address of the farm's API",
    type: 'textbox',
    query: 'http://127.0.0.1:8080',
    current: { text: 'http://127.0.0.1:8080', value: 'http://127.0.0.1:8080' },
  },
];

/** The other pages, and bull-board, which shows single jobs. */
const LINKS = [
  { type: 'dashboards', title: 'Slipway', tags: ['slipway'], asDropdown: false, includeVars: true, keepTime: true },
  // Grafana fills it in, not this program.
  { type: 'link', title: 'Queues (bull-board)', icon: 'external link', url: `$\{farm}/queues`, targetBlank: true },
];
