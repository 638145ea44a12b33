import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createMetrics } from './farm-metrics.ts';
import { METRICS, PROCESS_METRICS } from './metric-table.ts';
import { serveMetrics } from './serve-metrics.ts';

test('names contain subsystem and unit, and helps are sentences', () => {
  for (const { name, help, type } of Object.values(METRICS)) {
    expect(name).toMatch(/^slipway_[a-z_]+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_(seconds|bytes)$/);
    expect(help).toMatch(/^.+\.$/);
  }
});

test('what a worker can count is zero before anything has happened', async () => {
  const metrics = createMetrics({ process: 'worker', clusters: ['lab'], phase: 'import' });
  const text = await metrics.registry.metrics();
  expect(text).toContain('slipway_phase_jobs_total{outcome="failed",reason="ChecksumMismatch",phase="import"} 0');
  expect(text).toContain('slipway_kubernetes_errors_total{cluster="lab",status="503"} 0');
  expect(text).toContain('slipway_keystrokes_total 0');
  expect(text).toMatch(/slipway_import_duration_seconds_count\{outcome="succeeded"\} 0/);
  // Of other phases and other processes there is nothing.
  expect(text).not.toContain('phase="snapshot"');
  expect(text).not.toMatch(/slipway_(builds|redis_up|redis_noeviction)/);
});

test('a process has a bounded number of series', async () => {
  const clusters = ['a', 'b', 'c'];
  for (const owner of [
    { process: 'worker', clusters, phase: 'provision' } as const,
    { process: 'scheduler', clusters } as const,
  ]) {
    const text = await createMetrics(owner).registry.metrics();
    const lines = text.split('\n').filter((line) => line.startsWith('slipway_'));
    expect(lines.length).toBeLessThan(500);
  }
});

test('every process has metrics about itself', async () => {
  const text = await createMetrics().registry.metrics();
  for (const name of Object.values(PROCESS_METRICS)) expect(text).toMatch(new RegExp(`^${name} `, 'm'));
});

test('serves the metrics of a process to holders of the token', async () => {
  const metrics = createMetrics();
  metrics.phaseJobs.inc({ phase: 'import', outcome: 'succeeded', reason: '' });
  const server = await serveMetrics(metrics.registry, { host: '127.0.0.1', port: 0, token: 'secret' });
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/metrics`;
  expect((await fetch(url)).status).toBe(401);
  const answer = await fetch(url, { headers: { authorization: 'Bearer secret' } });
  expect(await answer.text()).toContain('slipway_phase_jobs_total{phase="import",outcome="succeeded",reason=""} 1');
  server.close();
  await once(server, 'close');
});

test('serves no metrics where there is no token for them', async () => {
  const server = await serveMetrics(createMetrics().registry, { host: '127.0.0.1', port: 0, token: undefined });
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});
