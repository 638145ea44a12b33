import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { METRICS } from '../../common/metrics/metric-table.ts';
import { DASHBOARDS, generatedFiles } from './pages.ts';

test.each([...generatedFiles()])(
  '%s is what its source renders (else: npx tsx dashboards/grafana/main.ts)',
  (file, content) => {
    expect(readFileSync(file, 'utf8')).toBe(content);
  },
);

test('every metric of the farm is on a page', () => {
  const shown = JSON.stringify(DASHBOARDS);
  const missing = Object.values(METRICS).filter(({ name }) => !shown.includes(name));
  expect(missing.map(({ name }) => name)).toEqual([]);
});

test('every page begins with what is needed on call, and details lead to a page that exists', () => {
  const uids = Object.values(DASHBOARDS).map(({ uid }) => uid);
  for (const { uid, rows } of Object.values(DASHBOARDS)) {
    if (uid !== 'slipway-phases') expect(rows[0]?.title).toBe('On call');
    for (const { detail, thresholds, kind } of rows.flatMap(({ panels }) => panels)) {
      if (detail !== undefined) expect(uids).toContain(detail);
      if (kind === 'stat' && uid === 'slipway-overview') expect(thresholds).toBeDefined();
    }
  }
});
