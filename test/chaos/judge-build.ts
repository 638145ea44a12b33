import type { StoredEvent } from '../../common/contracts/events.ts';
import type { ChaosBuild } from './builds.ts';

/** What machines must have in their journals after the line of their round, in this order. */
const JOURNALS: Readonly<Record<string, readonly string[]>> = {
  'left/vm': ['base-two', 'left'],
  'right/vm': ['base-two', 'right'],
  'top/first': ['base-two', 'left', 'top'],
  'top/second': ['base-two', 'right', 'top'],
};
const JOURNAL = 'journal: ';
/** Sentences of Redis and its client, which mean nothing to a user. */
const MACHINERY =
  /ioredis|redis\.sock|Connection is closed|Stream isn't writeable|MaxRetries|READONLY|NOSCRIPT|\bERR\b|user_script/;

/** What of a build decides whether it went well. */
export type JudgedBuild = Pick<
  ChaosBuild,
  'id' | 'round' | 'layerBuilds' | 'events' | 'isCancelled' | 'endings' | 'outcome'
>;

/** What is wrong with how a build went. `crashed`: layer builds of which a machine was killed, in small letters. */
export function judgeBuild(build: JudgedBuild, crashed: ReadonlySet<string>): string[] {
  const { id, events, outcome, isCancelled, layerBuilds, endings } = build;
  const wrong: string[] = [];
  const report = (what: string) => wrong.push(`build ${id}: ${what}`);
  if (outcome === null) report('it has not ended.');
  else if (outcome !== 'succeeded' && !(isCancelled && outcome === 'cancelled')) report(`it ${outcome}.`);
  for (const event of events) {
    if (event.event === 'module-finished' && event.failure && !isCancelled)
      report(`${event.module}: ${event.failure.reason}: ${event.failure.message}`);
    if (MACHINERY.test(wordsOf(event))) report(`it shows "${wordsOf(event)}"`);
  }
  for (const module of layerBuilds.keys()) {
    const allowed = endings + (crashed.has(layerBuilds.get(module) ?? '') ? 1 : 0);
    for (const what of judgeModule(build, module, allowed)) report(`${module}: ${what}`);
  }
  return wrong;
}

/** `allowed`: how often its machines were ended, each of which may cost a generation. */
function judgeModule({ events, round }: JudgedBuild, module: string, allowed: number): string[] {
  const wrong: string[] = [];
  let generations = 1;
  let seen = new Set<string>();
  // A build that joined in the middle does not hear that their imports have succeeded.
  let imported = new Set<string>();
  let journals = new Map<string, string[]>();
  const once = (what: string) => {
    if (seen.has(what)) wrong.push(`${what} twice in generation ${generations}.`);
    seen.add(what);
  };
  for (const event of events) {
    if (!('vm' in event) || event.module !== module) continue;
    const { vm } = event;
    if (event.event === 'step-started' || (event.event === 'phase-started' && event.phase !== 'import'))
      imported.add(vm);
    if (event.event === 'phase-started' && event.phase === 'import' && imported.has(vm)) {
      generations += 1;
      seen = new Set();
      imported = new Set();
      journals = new Map();
    }
    if (event.event === 'phase-finished' && event.outcome === 'succeeded') {
      imported.add(vm);
      once(`${vm}: ${event.phase} succeeded`);
    }
    if (event.event === 'step-started') once(`${vm}: step ${event.step + 1} started`);
    if (event.event === 'step-finished') once(`${vm}: step ${event.step + 1} finished`);
    if (event.event === 'log' && event.line.startsWith(JOURNAL))
      journals.set(vm, [...(journals.get(vm) ?? []), event.line.slice(JOURNAL.length)]);
  }
  if (generations - 1 > allowed)
    wrong.push(`it had ${generations} generations, though ${allowed} machines were ended.`);
  if (!hasSucceeded(events, module)) return wrong;
  for (const [place, last] of Object.entries(JOURNALS)) {
    const [owner, vm = ''] = place.split('/');
    if (owner !== module) continue;
    const [found, whole] = [(journals.get(vm) ?? []).join(), [`base-${round}`, ...last].join()];
    if (found !== whole) wrong.push(`the journal of ${vm} is "${found}" instead of "${whole}".`);
  }
  return wrong;
}

/** In this build: the events of a reused or joined layer build are not complete. */
function hasSucceeded(events: readonly StoredEvent[], module: string): boolean {
  return events.some(
    (event) =>
      event.event === 'module-finished' &&
      event.module === module &&
      event.outcome === 'succeeded' &&
      event.action === 'build',
  );
}

function wordsOf(event: StoredEvent): string {
  if (event.event === 'log') return event.source === 'farm' ? event.line : '';
  if (event.event === 'phase-waiting') return event.error ?? '';
  return 'failure' in event && event.failure ? event.failure.message : '';
}
