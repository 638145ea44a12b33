/** From which value on a panel turns orange and red. `above` false: below which value. */
export interface Thresholds {
  readonly warning?: number;
  readonly critical: number;
  /** @defaultValue true */
  readonly above?: boolean;
}

/** Grafana's names of units. */
type Unit = 'short' | 's' | 'bytes' | 'Bps' | 'percentunit' | 'ops' | 'suffix:cores' | 'bool_yes_no';

/** One query of a panel; the legend may name labels, e.g. `{{phase}}`. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** A panel before it has a place. */
export interface Panel {
  readonly title: string;
  /** Its meaning, and the remedy for bad values. */
  readonly description?: string;
  readonly kind: 'stat' | 'timeseries' | 'bargauge';
  readonly unit: Unit;
  readonly queries: readonly Query[];
  readonly thresholds?: Thresholds;
  /** Of 24 columns. @defaultValue 4 for stats, 12 else */
  readonly width?: number;
  /** Page with the details: uid of a dashboard. */
  readonly detail?: string;
  /** Whether series are stacked. */
  readonly stacked?: boolean;
}

/** Panels under a heading. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** A number at the top of a page: good or bad at a glance. */
export function stat(title: string, expr: string, rest: Partial<Panel> = {}): Panel {
  return { kind: 'stat', title, unit: 'short', queries: [{ expr, legend: title }], ...rest };
}

/** Lines over time. */
export function lines(title: string, queries: readonly Query[], rest: Partial<Panel> = {}): Panel {
  return { kind: 'timeseries', title, unit: 'short', queries, ...rest };
}

/** Bars of the whole time range, largest first. */
export function bars(title: string, { expr, legend }: Query, rest: Partial<Panel> = {}): Panel {
  return { kind: 'bargauge', title, unit: 'short', queries: [{ expr: `sort_desc(${expr} > 0)`, legend }], ...rest };
}

const GREEN = 'green';
const NO_FILL = 5;

/** Grafana's form of a panel at a place. */
export function renderPanel(panel: Panel, place: { id: number; x: number; y: number; w: number; h: number }): object {
  const { id, ...gridPos } = place;
  const { title, description, kind, unit, queries, thresholds, detail, stacked = false } = panel;
  return {
    id,
    type: kind,
    title,
    ...(description === undefined ? {} : { description }),
    gridPos,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      ...(kind === 'timeseries' ? {} : { instant: true, range: false }),
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: 0,
        color: { mode: kind === 'timeseries' ? 'palette-classic' : 'thresholds' },
        thresholds: { mode: 'absolute', steps: steps(thresholds) },
        ...(kind === 'timeseries' ? { custom: lineStyle(stacked, thresholds !== undefined) } : {}),
      },
      overrides: [],
    },
    options: OPTIONS[kind],
    ...(detail === undefined
      ? {}
      : { links: [{ title: 'Details', url: `/d/${detail}?$\{__url_time_range}&$\{cluster:queryparam}` }] }),
  };
}

/** The data source that the dashboard's variable names. */
export const DATASOURCE = { type: 'prometheus', uid: '$datasource' };

const OPTIONS = {
  stat: {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    colorMode: 'background',
    graphMode: 'none',
  },
  timeseries: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  bargauge: {
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    orientation: 'horizontal',
    displayMode: 'basic',
  },
} as const;

function steps(thresholds: Thresholds | undefined): object[] {
  if (!thresholds) return [{ color: GREEN, value: null }];
  const { warning, critical, above = true } = thresholds;
  if (!above) {
    const ok = warning ?? critical;
    const middle = warning === undefined ? [] : [{ color: 'orange', value: critical }];
    return [{ color: 'red', value: null }, ...middle, { color: GREEN, value: ok }];
  }
  const middle = warning === undefined ? [] : [{ color: 'orange', value: warning }];
  return [{ color: GREEN, value: null }, ...middle, { color: 'red', value: critical }];
}

function lineStyle(stacked: boolean, marked: boolean): object {
  return {
    drawStyle: 'line',
    lineWidth: 1,
    fillOpacity: stacked ? 40 : NO_FILL,
    stacking: { mode: stacked ? 'normal' : 'none', group: 'A' },
    thresholdsStyle: { mode: marked ? 'line' : 'off' },
  };
}
