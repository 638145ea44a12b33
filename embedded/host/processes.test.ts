import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { findProcesses, killProcesses } from './processes.ts';

test('finds a process at each moment at which it becomes another program', async () => {
  const marker = `/marker-${process.pid}`;
  const wrappers = Array.from({ length: 500 }, () => ['env', `WRAPPED=${marker}`]).flat();
  const child = spawn('env', [...wrappers, 'sleep', '60']);
  await once(child, 'spawn');
  const isWrapped = async () => (await readFile(`/proc/${child.pid}/comm`, 'utf8')) === 'env\n';
  const looks: number[][] = [];
  do looks.push((await findProcesses(marker)).map(({ pid }) => pid));
  while (await isWrapped());
  looks.pop();
  expect(looks.length).toBeGreaterThan(3);
  expect(looks.filter(([pid]) => pid !== child.pid)).toEqual([]);
  await killProcesses([{ pid: Number(child.pid), argv: [] }], systemClock);
});
