import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import type { FarmClient, Submission } from '../../cli/client/farm-client.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { systemClock as clock } from '../../common/clock/clock.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert, errorMessage } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { drawPages, type Shown } from './pictures.ts';
import { type Prometheus, prometheusFolder, startPrometheus } from './prometheus.ts';
import { type Asked, alertInputs, EMPTY_FOR_A_REASON, panelQueries } from './queries.ts';

/*
 * Holds dashboards and alert rules against a farm that works: a real Prometheus scrapes every process while
 * examples/lab is built, built again, and a module with a wrong checksum fails. Then every query of every panel must
 * show a value, and every rule must be evaluated on series that exist. Rules are also tested by promtool. With
 * `--pictures DIR` it draws what the panels showed, one SVG per page.
 */
const { values: flags } = parseArgs({ options: { pictures: { type: 'string' } } });
const resources = new ReleaseStack();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void resources.close().finally(() => process.exit(130)));
}
try {
  process.exitCode = (await observe()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`The observation ended early. ${errorMessage(error)}\n`);
  process.exitCode = 1;
} finally {
  await resources.close();
}

async function observe(): Promise<boolean> {
  await testRules();
  const media = await serveFile((await guestImages()).installerIso);
  resources.defer('media server', () => media.stop());
  say('Starting a farm and a Prometheus');
  const farm = await startFarm();
  resources.defer('farm', () => farm.purge());
  const token = readFileSync(join(farm.dataDir, 'metrics-token'), 'utf8');
  const prometheus = await startPrometheus({ targets: targetsOf(farm), token }, resources);
  const from = clock.now();
  // An increase is seen only between two scrapes.
  await until(prometheus, { expr: 'sum(slipway_builds_total) == 0', from });
  await until(prometheus, { expr: `count(up == 1) == ${PHASES.length + 1}`, from });
  await work(farm.client, media);
  // Scheduler and workers are not scraped at the same moment.
  await until(prometheus, { expr: 'sum(increase(slipway_builds_total[1h])) > 2', from });
  await until(prometheus, { expr: 'sum(increase(slipway_phase_jobs_total{outcome="failed"}[1h])) > 0', from });
  const span = { from, to: clock.now() };
  const down = await prometheus.downTargets();
  for (const target of down) console.log(`  target is down: ${target}`);
  const { counts: panels, shown } = await ask(prometheus, panelQueries(), span);
  if (flags.pictures !== undefined) drawPages(flags.pictures, shown);
  const { counts: inputs } = await ask(prometheus, alertInputs(), span);
  const firing = await prometheus.queryRange('ALERTS{alertstate="firing"}', span);
  for (const { labels } of firing) console.log(`  fires in a farm without trouble: ${labels['alertname']}`);
  const rules = await prometheus.rules();
  const broken = rules.filter(({ health }) => health !== 'ok');
  for (const { name, health, error } of broken) console.log(`  rule ${name} is ${health}: ${error}`);
  say(`Panels ok ${panels.ok} / ${panels.total}, of which ${panels.zero} stay at zero in a farm without trouble`);
  say(`Rules ok ${rules.length - broken.length} / ${rules.length}, what they read ${inputs.ok} / ${inputs.total}`);
  const ok = panels.bad + inputs.bad + broken.length + down.length + firing.length === 0;
  const outcome = ok ? 'succeeded' : 'failed';
  console.log(JSON.stringify({ event: 'observability-finished', outcome, panels, rules: rules.length, inputs }));
  return ok;
}

async function testRules(): Promise<void> {
  say('Testing the alert rules');
  const tests = packagePath('deploy', 'prometheus', 'tests', 'slipway.yaml');
  const { stdout } = await promisify(execFile)(join(await prometheusFolder(), 'promtool'), ['test', 'rules', tests]);
  console.log(stdout.trim());
}

/** The scheduler by its URL; the workers by the port that each printed when it was ready. */
function targetsOf({ dataDir, connection }: TestFarm): Record<string, string[]> {
  const logs = join(dataDir, 'logs');
  const workers = readdirSync(logs)
    .filter((file) => PHASES.some((phase) => file.startsWith(`${phase}-`)))
    .map((file) => {
      const ready = readFileSync(join(logs, file), 'utf8').match(/^\{"event":"ready".*$/m)?.[0];
      assert(ready, `A worker that is ready reports it in ${file}.`);
      return `127.0.0.1:${JSON.parse(ready).metricsPort}`;
    });
  return { 'slipway-scheduler': [new URL(connection.url).host], 'slipway-workers': workers };
}

async function work(client: FarmClient, { url, sha256 }: ServedFile): Promise<void> {
  const variables = { ISO_URL: url, ISO_SHA256: sha256 };
  const lab = { files: readModuleFiles([packagePath('examples', 'lab')]), variables };
  for (const _ of ['first', 'again']) await build(client, lab, 'succeeded');
  const text = `name: wrong\nvms:\n  - name: vm\n    source: { url: "${url}", checksum: "sha256:${'0'.repeat(64)}" }\n    cloudInit: {}\n`;
  await build(client, { files: [{ path: 'wrong.yaml', text }], variables: {} }, 'failed');
}

async function build(client: FarmClient, submission: Submission, expected: string): Promise<void> {
  const { buildId } = await client.submit(submission);
  let outcome: string | undefined;
  for await (const event of client.events(buildId)) if (event.event === 'build-finished') outcome = event.outcome;
  say(`A build ${outcome}`);
  assert(outcome === expected, `The build should have ${expected}.`);
}

/** Resolves when an expression was true once since a time; Prometheus does not notify by itself. */
async function until(prometheus: Prometheus, { expr, from }: { expr: string; from: number }): Promise<void> {
  while ((await prometheus.queryRange(expr, { from, to: clock.now() })).length === 0) await clock.after(500);
}

/** Asks everything and prints what shows nothing. `zero` of what is well shows a zero all the time. */
async function ask(prometheus: Prometheus, queries: readonly Asked[], span: { from: number; to: number }) {
  const counts = { ok: 0, bad: 0, empty: 0, zero: 0, total: queries.length };
  const shown: Shown[] = [];
  for (const { name, expr } of queries) {
    const series = await prometheus.queryRange(expr, span);
    shown.push({ name, series });
    const shows = series.some(({ points }) => points.some(({ value }) => !Number.isNaN(value)));
    if (shows && !series.some(({ points }) => points.some(({ value }) => value > 0))) counts.zero += 1;
    const reason = EMPTY_FOR_A_REASON[name];
    if (shows && reason === undefined) counts.ok += 1;
    else if (!shows && reason !== undefined) {
      counts.empty += 1;
      console.log(`  empty, as expected: ${name} (${reason})`);
    } else {
      counts.bad += 1;
      console.log(shows ? `  not empty any more: ${name}` : `  shows nothing: ${name}\n    ${expr}`);
    }
  }
  return { counts, shown };
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
