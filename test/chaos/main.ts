import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { ChaosBuilds } from './builds.ts';
import { faultsOf } from './faults.ts';
import { judgeBuild } from './judge-build.ts';
import { judgeRemains } from './judge-remains.ts';
import { planActions } from './plan.ts';
import { startSecondHalf } from './second-half.ts';
import { countMachines } from './watch-caps.ts';

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
/** For all builds to end when nothing happens to the farm any more. */
const REST_MS = 900_000;
const FLAGS = ['--vms', String(LIMIT), '--allow-address', '127.0.0.1'];

const seed = Number(values.seed);
const start = performance.now();
const print = (line: string) =>
  console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${line}`);
const done = new Map<string, number>();
const violations: string[] = [];
/** Each violation is shown when it is found, and again at the end. */
const report = (violation: string) => {
  violations.push(violation);
  print(`VIOLATION ${violation}`);
};

console.log(`seed ${seed}`);
const resources = new ReleaseStack();
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    interrupted.abort();
    void resources.close().finally(() => process.exit(130));
  });
}
const { signal } = interrupted;
try {
  await run();
} catch (error) {
  report(`The run ended early: ${errorMessage(error)}`);
}
await resources.close();
for (const violation of violations) console.error(`  ${violation}`);
if (violations.length > 0) console.error(`again: npm run chaos -- --seconds ${values.seconds} --seed ${seed}`);
// Builds that were given up are still followed.
process.exit(violations.length > 0 ? 1 : 0);

async function run(): Promise<void> {
  const image = await serveFile((await guestImages()).cloudImage);
  resources.defer('image', () => image.stop());
  const farm = await startFarm({ flags: FLAGS });
  resources.defer('farm', () => farm.purge());
  resources.defer('logs', () => keepLogs(farm.dataDir));
  const second = await startSecondHalf(resources, farm);
  const machines = countMachines(farm.connection.kubeconfig, LIMIT, report);
  resources.defer('machine watch', () => machines.stop());
  const builds = new ChaosBuilds(farm.client, image, {
    started: ({ id }) => print(`build ${id}`),
    ended: (build) => {
      print(`build ${build.id} ${build.outcome}`);
      judgeBuild(build, builds.crashed).forEach(report);
    },
    lost: (id, reason) => report(`build ${id} could not be followed: ${reason}`),
  });
  const faults = faultsOf({ farm, flags: FLAGS, second, builds, signal });
  const requested = values.only?.split(',');
  const names = [...faults.keys()].filter((name) => requested?.includes(name) ?? true);
  const shakenUntil = performance.now() + Number(values.seconds) * 1000;
  for (const { name, pauseMs, random } of planActions(names, seed)) {
    while (builds.living.length < LIVING) await builds.submitNew();
    await after(pauseMs, undefined, { signal });
    if (performance.now() > shakenUntil) break;
    const what = await faults.get(name)?.(random);
    if (!what) continue;
    done.set(name, (done.get(name) ?? 0) + 1);
    print(`${name}: ${what}`);
  }
  print('at rest');
  await Promise.race([Promise.all(builds.all.map(({ ended }) => ended)), after(REST_MS, null, { signal })]);
  print('all builds have ended, or have had their time');
  for (const build of builds.living) judgeBuild(build, builds.crashed).forEach(report);
  (await judgeRemains(farm)).forEach(report);
  printTable(builds, machines.peak());
}

/** The logs of the farm's processes would go with the farm, and are needed to explain a violation. */
function keepLogs(dataDir: string): void {
  if (violations.length === 0) return;
  const kept = mkdtempSync(join(tmpdir(), 'slipway-chaos-'));
  cpSync(join(dataDir, 'logs'), kept, { recursive: true });
  print(`The logs of the farm are kept in ${kept}`);
}

function printTable(builds: ChaosBuilds, peak: number): void {
  const outcomes = (outcome: string) => builds.all.filter((build) => build.outcome === outcome).length;
  const steps = builds.all.flatMap(({ events }) => events).filter(({ event }) => event === 'step-finished').length;
  const rows: readonly (readonly [string, number])[] = [
    ...[...done].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ['builds that succeeded', outcomes('succeeded')],
    ['builds that were cancelled', outcomes('cancelled')],
    ['steps that ran', steps],
    [`machines at once, of ${LIMIT}`, peak],
    ['violations', violations.length],
  ];
  console.log();
  for (const [what, value] of rows) console.log(`${what.padEnd(34)}${String(value).padStart(6)}`);
}
