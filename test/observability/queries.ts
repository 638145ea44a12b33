import { DASHBOARDS } from '../../dashboards/grafana/pages.ts';
import { alertRules } from './rules.ts';

/** One query that must show something after a farm has worked. */
export interface Asked {
  /** `page / panel / legend`, or the name of an alert and what it reads. */
  readonly name: string;
  readonly expr: string;
}

/** What Grafana puts in; the windows are those of a farm that is scraped every second. */
const VARIABLES: Readonly<Record<string, string>> = { $cluster: '.*', $__rate_interval: '30s', $__range: '1h' };

/** The queries of all panels, as Grafana sends them. */
export function panelQueries(): Asked[] {
  return Object.values(DASHBOARDS).flatMap(({ title, rows }) =>
    rows.flatMap(({ panels }) =>
      panels.flatMap((panel) =>
        panel.queries.map(({ expr, legend }) => ({
          name: `${title} / ${panel.title} / ${legend}`,
          expr: Object.entries(VARIABLES).reduce((text, [name, value]) => text.replaceAll(name, value), expr),
        })),
      ),
    ),
  );
}

/** An alert that is silent returns nothing; but all that it reads must be there. */
export function alertInputs(): Asked[] {
  return alertRules().flatMap(({ alert, expr }) => {
    const selectors = new Set(expr.match(/slipway_[a-z_]+(\{[^}]*\})?/g));
    return [...selectors].map((selector) => ({ name: `${alert} / ${selector}`, expr: selector }));
  });
}

/** Queries that show nothing after the builds of this test, by name, and why that is right. */
export const EMPTY_FOR_A_REASON: Readonly<Record<string, string>> = {};
