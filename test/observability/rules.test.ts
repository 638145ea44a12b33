import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { METRICS } from '../../common/metrics/metric-table.ts';
import { alertRules } from './rules.ts';

const rules = alertRules();
const runbooks = readdirSync(packagePath('docs', 'runbooks')).filter((file) => file !== 'README.md');
const index = readFileSync(packagePath('docs', 'runbooks', 'README.md'), 'utf8');
const tests = readFileSync(packagePath('deploy', 'prometheus', 'tests', 'slipway.yaml'), 'utf8');

test.each(rules)('$alert reads metrics that exist, has a runbook and a test', ({ alert, expr, runbook }) => {
  const known: string[] = Object.values(METRICS).map(({ name }) => name);
  for (const name of expr.match(/slipway_[a-z_]+/g) ?? [])
    expect(known).toContain(name.replace(/_(bucket|sum|count)$/, ''));
  expect(existsSync(packagePath(runbook))).toBe(true);
  expect(readFileSync(packagePath(runbook), 'utf8')).toContain(alert);
  expect(index).toContain(alert);
  expect(tests).toContain(`alertname: ${alert}`);
});

test('every runbook belongs to an alert', () => {
  const used = rules.map(({ runbook }) => runbook.slice('docs/runbooks/'.length));
  expect([...new Set(used)].toSorted()).toEqual(runbooks.toSorted());
});
