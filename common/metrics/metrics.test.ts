import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createMetrics } from './farm-metrics.ts';
import { METRICS } from './metric-table.ts';
import { serveMetrics } from './serve-metrics.ts';

test('names say subsystem and unit, and helps are sentences', () => {
  for (const { name, help, type } of Object.values(METRICS)) {
    expect(name).toMatch(/^slipway_[a-z_]+$/);
    expect(name.endsWith('_total')).toBe(type === 'counter');
    expect(help).toMatch(/^.+\.$/);
  }
});

test('serves what a process counted, to who has the token', async () => {
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
