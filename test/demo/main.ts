import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { describeEvent } from '../../cli/output/build-lines.ts';
import { printTable } from '../../cli/output/table.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { systemClock } from '../../common/clock/clock.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { Connection } from '../../common/contracts/connection.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { seconds } from '../../common/text/durations.ts';
import { startFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';

/** What one build of the lab took, read off its events. */
interface Measured {
  readonly durationMs: number;
  readonly outcome: string;
  readonly vmsBooted: number;
  readonly buildId: string;
}

const { values: flags } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const resources = new ReleaseStack();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void resources.close().finally(() => process.exit(130)));
}
try {
  process.exitCode = (await runDemo()) === 'succeeded' ? 0 : 1;
} catch (error) {
  process.stderr.write(`The demo ended early. ${errorMessage(error)}\n`);
  process.exitCode = 1;
} finally {
  await resources.close();
}

async function runDemo(): Promise<string> {
  say('Building the installer media from Debian packages (kept for the next time)');
  const { installerIso } = await guestImages();
  const media = await serveFile(installerIso);
  resources.defer('media server', () => media.stop());
  const dataDir = mkdtempSync(join(tmpdir(), 'slipway-demo-'));
  say(`Starting a farm in ${dataDir}`);
  const farm = await startFarm({ dataDir, privateState: !flags.keep });
  if (!flags.keep) resources.defer('farm', () => farm.purge());
  const client = new FarmClient(farm.connection);
  const submission = {
    files: readModuleFiles([packagePath('examples', 'lab')]),
    variables: { ISO_URL: media.url, ISO_SHA256: media.sha256 },
  };
  say('Building examples/lab: base, then web and db, then app');
  const first = await build(client, submission);
  await printResults(client, first.buildId);
  say('Building it again');
  const second = await build(client, submission);
  const ok = first.outcome === 'succeeded' && second.outcome === 'succeeded' && second.vmsBooted === 0;
  const outcome = ok ? 'succeeded' : 'failed';
  if (flags.keep) await printKept(farm.connection, dataDir);
  else await resources.close();
  const { durationMs: firstBuildMs, vmsBooted } = first;
  const secondBuildMs = second.durationMs;
  say(`First build ${seconds(firstBuildMs)}, second build ${seconds(secondBuildMs)}`);
  console.log(JSON.stringify({ event: 'demo-finished', outcome, firstBuildMs, secondBuildMs, vmsBooted }));
  return outcome;
}

async function build(client: FarmClient, submission: Parameters<FarmClient['submit']>[0]): Promise<Measured> {
  const start = systemClock.now();
  const { buildId } = await client.submit(submission);
  let vmsBooted = 0;
  let last: StoredEvent | undefined;
  for await (const event of client.events(buildId)) {
    last = event;
    if (event.event === 'phase-finished' && event.phase === 'boot-keystrokes' && event.outcome === 'succeeded') {
      vmsBooted += 1;
    }
    console.log(`  ${describeEvent(event, buildId)}`);
  }
  const outcome = last?.event === 'build-finished' ? last.outcome : 'failed';
  return { durationMs: systemClock.now() - start, outcome, vmsBooted, buildId };
}

async function printResults(client: FarmClient, buildId: string): Promise<void> {
  const view = await client.build(buildId);
  const took = (startedAt: number | null, finishedAt: number | null) =>
    startedAt === null || finishedAt === null ? '' : seconds(finishedAt - startedAt);
  printTable(
    ['module', 'vm', 'import', 'boot-keystrokes', 'provision', 'snapshot'],
    view.modules.flatMap((module) =>
      module.vms.map(({ vm, phases }) => [
        module.name,
        vm,
        ...phases.map((phase) => took(phase.startedAt, phase.finishedAt)),
      ]),
    ),
  );
  printTable(
    ['image', 'vm', 'disk', 'snapshot'],
    view.modules.flatMap((module) => module.images.map(({ vm, disk, snapshot }) => [module.name, vm, disk, snapshot])),
  );
}

async function printKept({ url, token, kubeconfig }: Connection, dataDir: string): Promise<void> {
  const link = await new FarmClient({ url, token }).consoleLink();
  say(`The farm continues at ${url}`);
  console.log(
    [
      `  console: ${link}`,
      `  images:  slipway images; kubectl --kubeconfig ${kubeconfig} -n slipway get volumesnapshots`,
      `  files:   ${dataDir}/cluster`,
      `  queues:  ${url}/queues`,
      '  end:     slipway down --purge',
    ].join('\n'),
  );
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
