import { setTimeout as after } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createRandom } from '../bench/random-graph.ts';
import { startFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { ChaosBuilds } from './builds.ts';
import { faultsOf, machinesOf } from './faults.ts';
import { judgeBuild, judgeRemains } from './judge.ts';
import { startSecondHalf } from './second-half.ts';

/*
 * Shakes a whole farm with real guests for `--seconds N`: kills and stops its processes, resets and slows its connections, cancels
 * and rebuilds; then lets it come to rest, and looks from outside whether anything was lost, done twice, or left over. The same
 * `--seed S` does the same things in the same order; what they meet is up to the machine.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '180' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e6)) },
    only: { type: 'string' },
  },
});
const LIMIT = 2;
const LIVING = 2;
/** Shortest and longest pause between two faults. */
const PAUSES_MS = [1_000, 5_000] as const;
/** For all builds to end when nothing happens to the farm any more. */
const REST_MS = 600_000;

const seed = Number(values.seed);
// Small seeds begin with small numbers.
const random = createRandom(1 + ((seed * 1_000_003) % 2_000_000_011));
const start = performance.now();
const said = (line: string) => console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${line}`);
const done = new Map<string, number>();
const count = (what: string) => done.set(what, (done.get(what) ?? 0) + 1);
const killed = new Set<string>();
const violations: string[] = [];
let peak = 0;

console.log(`seed ${seed}`);
await using resources = new ReleaseStack();
const image = await serveFile((await guestImages()).cloudImage);
resources.defer('image', () => image.stop());
const farm = await startFarm({ flags: ['--vms', String(LIMIT)] });
resources.defer('farm', () => farm.purge());
const second = await startSecondHalf(resources, farm);
const builds = new ChaosBuilds(farm.client, image);

const watching = new AbortController();
const watched = (async () => {
  while (!watching.signal.aborted) {
    const machines = (await machinesOf(farm)).length;
    if (machines > LIMIT && machines > peak) violations.push(`${machines} machines ran at once, of ${LIMIT}.`);
    peak = Math.max(peak, machines);
    await after(100);
  }
})();

const all = faultsOf({ farm, second, random }, killed);
const names = [...all.keys()].filter((name) => !values.only || values.only.split(',').includes(name));
const shakenUntil = performance.now() + Number(values.seconds) * 1000;
let rounds = 0;
try {
  while (performance.now() < shakenUntil) {
    while (builds.living.length < LIVING) {
      rounds += 1;
      const { id } = await builds.submit(`r${rounds}`);
      said(`build ${id}`);
    }
    await after(PAUSES_MS[0] + random() * (PAUSES_MS[1] - PAUSES_MS[0]));
    const choice = random();
    const [oldest] = builds.living;
    if (choice < 0.03 && oldest) {
      count('cancel a build');
      await builds.cancel(oldest);
      said(`cancelled ${oldest.id}`);
    } else if (choice < 0.06 && rounds > 1) {
      count('rebuild');
      const { id } = await builds.submit(`r${rounds - 1}`, 'left');
      said(`rebuild of round ${rounds - 1}: ${id}`);
    } else {
      const name = names[Math.floor(random() * names.length)] ?? '';
      const what = await all.get(name)?.();
      if (what) {
        count(name);
        said(`${name}: ${what}`);
      }
    }
  }
  said('at rest');
  await Promise.race([Promise.all(builds.all.map(({ ended }) => ended)), after(REST_MS, null, { ref: false })]);
  said('all builds have ended, or have had their time');
  for (const build of builds.all) violations.push(...judgeBuild(build, killed));
  violations.push(...(await judgeRemains(farm)));
} catch (error) {
  violations.push(`The farm could not be asked: ${errorMessage(error)}`);
}
watching.abort();
await watched;

const outcomes = (outcome: string | null) => builds.all.filter((build) => build.outcome === outcome).length;
const steps = builds.all.flatMap(({ events }) => events).filter(({ event }) => event === 'step-finished').length;
const rows: readonly (readonly [string, number | string])[] = [
  ...[...done].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ['builds that succeeded', outcomes('succeeded')],
  ['builds that were cancelled', outcomes('cancelled')],
  ['steps that ran', steps],
  ['machines at once, of 2', peak],
  ['violations', violations.length],
];
console.log();
for (const [what, value] of rows) console.log(`${what.padEnd(34)}${String(value).padStart(6)}`);
for (const violation of violations) console.error(`  ${violation}`);
if (violations.length > 0) {
  process.exitCode = 1;
  console.error(`again: npm run chaos -- --seconds ${values.seconds} --seed ${seed}`);
}
