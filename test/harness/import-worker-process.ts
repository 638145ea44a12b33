import { systemClock as clock } from '../../common/clock/clock.ts';
import { runProcess } from '../../common/lifecycle/run-process.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { useRedis } from '../../common/redis/connections.ts';
import { subscribeNotices } from '../../common/redis/notices.ts';
import { createPhaseStore } from '../../common/redis/phase-store.ts';
import type { PhaseContext } from '../../workers/context/phase-context.ts';
import { PhaseRunner, type PhaseRunnerOptions } from '../../workers/runtime/phase-runner.ts';
import { PhaseWorkers } from '../../workers/runtime/worker-process.ts';

/*
 * A worker process for imports on the cluster `lab`, all but its executor the farm's own. Arguments: URL of Redis, and what the executor
 * does: `succeed`, or `hang` until it is stopped. It prints a line per event.
 */
const [url = '', script = ''] = process.argv.slice(2);
const logger = createLogger({ name: 'worker', level: 'silent' });

async function execute({ claim, signal }: PhaseContext): Promise<{ outcome: 'succeeded' }> {
  console.log(`executing, former claims ${claim.formerClaims}`);
  if (script === 'succeed') return { outcome: 'succeeded' };
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  console.log(`stopped: ${signal.reason.message}`);
  throw signal.reason;
}

await runProcess(logger, async (resources) => {
  const options = { url, logger };
  const producer = await useRedis(resources, options, 'producer');
  const notices = await subscribeNotices(await useRedis(resources, options, 'listener'), logger);
  const worker = `worker-${process.pid}`;
  const store = createPhaseStore({ redis: producer, notices });
  // Of the rest of its context this executor uses nothing.
  const contextOf = () => ({}) as ReturnType<PhaseRunnerOptions['contextOf']>;
  const runner = new PhaseRunner({ executor: { phase: 'import', execute }, store, worker, clock, logger, contextOf });
  const redis = { producer, worker: await useRedis(resources, options, 'worker') };
  const what = { phase: 'import', concurrency: 2, worker } as const;
  await new PhaseWorkers({ ...what, runner, redis, clock, logger }, resources).take('lab');
  console.log('ready');
});
