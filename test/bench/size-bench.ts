import { fork } from 'node:child_process';
import { once } from 'node:events';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startRedis } from '../harness/redis-server.ts';
import type { Measurement } from './measurement.ts';
import type { SizeReport } from './size-process.ts';

/** What 25,000 modules of one build cost everybody else: submitted, cancelled, and failed at their root. */
export async function benchSize(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const server = await startRedis();
  resources.defer('redis', () => server.stop());
  const { submitMs, cancelMs, failMs, loopMs, rssMiB, seconds } = await measureApart(server.url);
  const block = { unit: 'ms', target: '<= 50 ms' };
  return [
    { what: 'longest Redis block, 25,000 modules submitted', value: submitMs, ...block },
    { what: 'longest Redis block, they are cancelled', value: cancelMs, ...block },
    { what: 'longest Redis block, their root fails', value: failMs, ...block },
    { what: 'event loop of the submitting process meanwhile, max', value: loopMs, ...block },
    { what: 'its memory', value: rssMiB, unit: 'MiB', target: '<= 400 MiB' },
    { what: 'all of it took', value: seconds, unit: 's', target: '' },
  ];
}

/** In a process of its own, so that its memory and its event loop are those of this bench. */
async function measureApart(redisUrl: string): Promise<SizeReport> {
  const child = fork(new URL('./size-process.ts', import.meta.url), [redisUrl], {
    execArgv: [...process.execArgv, '--expose-gc'],
  });
  const [report] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`The measured process ended with ${String(code)}.`);
    }),
  ])) as [SizeReport];
  return report;
}
