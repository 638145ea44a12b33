import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { programCommand } from '../../common/config/package-root.ts';
import { LOG_PART } from '../host/bounded-log.ts';
import { podFiles } from './pod-plan.ts';
import { PodProcess } from './pod-process.ts';

test('of the log of a pod the last part is kept: guests make a relay write', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slipway-pod-'));
  const files = podFiles(directory);
  const script = `head -c ${5 * LOG_PART} /dev/zero | tr '\\0' x; exec sleep 600`;
  const plan = { argv: ['sh', '-c', script], env: { PATH: process.env['PATH'] ?? '' }, directory };
  await writeFile(files.plan, JSON.stringify(plan));
  const [node, supervisor] = programCommand('embedded/pods/pod-supervisor');
  const child = spawn(node, [supervisor, directory], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  const troubles: unknown[] = [];
  const place = {
    directory,
    clock: systemClock,
    onEnd: () => {},
    onLogTrouble: (error: unknown) => troubles.push(error),
  };
  let pod: PodProcess | undefined;
  onTestFinished(async () => {
    pod?.detach();
    child.kill('SIGTERM');
    await ended;
    await rm(directory, { recursive: true });
  });
  await expect
    .poll(async () => {
      pod = await PodProcess.adopt(place);
      return pod;
    })
    .toBeDefined();
  await expect.poll(async () => (await stat(files.log)).size, { timeout: 10_000 }).toBe(5 * LOG_PART);
  await expect.poll(async () => (await stat(files.log)).blocks * 512, { timeout: 10_000 }).toBeLessThan(2.5 * LOG_PART);
  expect(troubles).toEqual([]);
});
