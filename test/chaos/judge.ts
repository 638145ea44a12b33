import { setTimeout as after } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { TestFarm } from '../harness/farm.ts';
import { remainingObjects } from '../harness/kubectl.ts';
import { movingKeys } from '../harness/moving-keys.ts';
import type { ChaosBuild } from './builds.ts';

/** What the images of a round must have in their journals, in this order. */
const JOURNALS: Readonly<Record<string, readonly string[]>> = {
  left: ['base-two', 'left'],
  right: ['base-two', 'right'],
  top: ['base-two', 'left', 'top'],
};
const KINDS = [
  ...['virtualmachines', 'virtualmachineinstances', 'datavolumes', 'pods', 'secrets'],
  ...['vpcs', 'subnets', 'network-attachment-definitions'],
];
/** Sentences of the machinery, which mean nothing to a user. */
const MACHINERY =
  /ioredis|ECONN|EPIPE|Connection is closed|Stream isn't writeable|MaxRetries|READONLY|\bERR\b|user_script/;
const SETTLED_MS = 90_000;

/** What is wrong with how a build went. `killed`: layer builds of which a machine was killed, in small letters. */
export function judgeBuild(build: ChaosBuild, killed: ReadonlySet<string>): string[] {
  const { id, events, outcome, isCancelled } = build;
  const wrong: string[] = [];
  const say = (what: string) => wrong.push(`build ${id}: ${what}`);
  if (outcome === null) say('it has not ended.');
  else if (outcome !== 'succeeded' && !(isCancelled && outcome === 'cancelled')) say(`it ${outcome}.`);
  const told = new Map<string, number>();
  for (const event of events) {
    if (event.event === 'module-finished' && event.failure && !isCancelled)
      say(`${event.module}: ${event.failure.reason}: ${event.failure.message}`);
    if (MACHINERY.test(wordsOf(event))) say(`it says "${wordsOf(event)}"`);
    if (event.event !== 'step-started') continue;
    const step = `${event.module}/${event.vm} step ${event.step + 1}`;
    told.set(step, (told.get(step) ?? 0) + 1);
    const isAgain = killed.has(build.works.get(event.module) ?? '');
    if ((told.get(step) ?? 0) > 1 && !isAgain) say(`${step} was told more than once.`);
  }
  for (const event of events) {
    if (event.event !== 'module-finished' || event.outcome !== 'succeeded' || event.action === 'reuse') continue;
    const last = JOURNALS[event.module];
    if (!last) continue;
    const expected = [`base-${build.round}`, ...last];
    const lines = events.flatMap((one) => {
      const line = one.event === 'log' && one.module === event.module ? one.line : '';
      return line.startsWith('journal: ') ? [line.slice('journal: '.length)] : [];
    });
    const seen = killed.has(build.works.get(event.module) ?? '') ? lines.slice(-expected.length) : lines;
    if (seen.join() !== expected.join()) say(`the journal of ${event.module} is ${lines.join(', ')}`);
  }
  return wrong;
}

/** What is left of builds that have all ended: in Redis, on the cluster. */
export async function judgeRemains({ connection }: TestFarm): Promise<string[]> {
  const redis = new Redis(connection.redisUrl);
  try {
    let keys = await movingKeys(redis);
    for (const until = performance.now() + SETTLED_MS; keys.length > 0 && performance.now() < until; ) {
      await after(500);
      keys = await movingKeys(redis);
    }
    const wrong = keys.map((key) => `Redis still has ${key}.`);
    for (const kind of KINDS) {
      for (const name of await remainingObjects(connection.kubeconfig, kind, 'slipway.dev/role=build')) {
        wrong.push(`The cluster still has ${name}.`);
      }
    }
    return wrong;
  } finally {
    redis.disconnect();
  }
}

function wordsOf(event: ChaosBuild['events'][number]): string {
  if (event.event === 'log') return event.source === 'farm' ? event.line : '';
  if (event.event === 'phase-waiting') return event.error ?? '';
  return 'failure' in event && event.failure ? event.failure.message : '';
}
