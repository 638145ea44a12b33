import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { printTable } from '../../cli/output/table.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { preflight } from '../../common/kubernetes/preflight/preflight.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitForSet } from '../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { serveFile } from '../harness/file-server.ts';
import { followBuild } from '../harness/follow-build.ts';
import { guestImages } from '../harness/guest-images.ts';
import { removeLayers, startForeignFarm } from './foreign-farm.ts';
import { type ClusterTestOptions, readOptions } from './options.ts';

/*
 * Holds a cluster that is there already against what the farm needs of it: the preflight, the conformance suites that
 * hold for any cluster, and examples/lab built twice by a farm whose processes run here. What it makes on the cluster it
 * removes again. See docs/operations.md.
 */
const SUITES = ['api', 'kubevirt', 'cdi', 'kube-ovn', 'storage'].map((name) => `test/conformance/${name}`);
const PATIENCE_MS = '600000';
const CLEARED_MS = 300_000;

const resources = new ReleaseStack();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void resources.close().finally(() => process.exit(130)));
}
const facts: Record<string, unknown> = {};
let outcome = 'failed';
try {
  outcome = await testCluster(readOptions(process.argv.slice(2), process.env));
} catch (error) {
  process.stderr.write(`The test of the cluster ended early. ${errorMessage(error)}\n`);
} finally {
  await resources.close();
}
console.log(JSON.stringify({ event: 'cluster-finished', outcome, ...facts }));
process.exitCode = outcome === 'succeeded' ? 0 : 1;

async function testCluster(options: ClusterTestOptions): Promise<string> {
  const client = new ClusterClient(options.cluster);
  resources.defer('connections', () => client.transport.close());
  if (!(await isFit(client, options))) return 'unfit';
  const conformance = await runConformance(options);
  const lab = await buildLab(client, options);
  return conformance && lab ? 'succeeded' : 'failed';
}

async function isFit(client: ClusterClient, { cluster }: ClusterTestOptions): Promise<boolean> {
  say('Asking the cluster what it has');
  const findings = await preflight(client, cluster, new AbortController().signal);
  if (findings.length === 0) console.log('  It lacks nothing.');
  else
    printTable(
      ['severity', 'what', 'how to fix it'],
      findings.map(({ severity, what, howToFix }) => [severity, what, howToFix]),
    );
  facts['errors'] = findings.filter(({ severity }) => severity === 'error').length;
  facts['warnings'] = findings.filter(({ severity }) => severity === 'warning').length;
  return facts['errors'] === 0;
}

/** The suites in a process of their own, which learns of the cluster by its environment. */
async function runConformance({ cluster, mediaHost }: ClusterTestOptions): Promise<boolean> {
  say('Running the conformance suites that hold for any cluster');
  const { kubeconfig, storageClass, snapshotClass } = cluster;
  const env = {
    ...process.env,
    SLIPWAY_CONFORMANCE_KUBECONFIG: kubeconfig,
    SLIPWAY_CONFORMANCE_MEDIA_HOST: mediaHost,
    ...(storageClass === undefined ? {} : { SLIPWAY_CONFORMANCE_STORAGE_CLASS: storageClass }),
    ...(snapshotClass === undefined ? {} : { SLIPWAY_CONFORMANCE_SNAPSHOT_CLASS: snapshotClass }),
  };
  const patience = ['--testTimeout', PATIENCE_MS, '--hookTimeout', PATIENCE_MS];
  const child = spawn('npx', ['vitest', 'run', ...SUITES, ...patience], { cwd: packagePath(), env, stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  facts['conformance'] = code === 0 ? 'passed' : 'failed';
  return code === 0;
}

async function buildLab(client: ClusterClient, { cluster, mediaHost }: ClusterTestOptions): Promise<boolean> {
  const { installerIso } = await guestImages();
  const media = await serveFile(installerIso, mediaHost);
  resources.defer('media server', () => media.stop());
  const name = `test-${process.pid}`;
  say(`Starting a farm "${name}" for the cluster`);
  resources.defer('layers of the farm', () => removeLayers(client, name));
  const farm = await startForeignFarm({ name, cluster }, resources);
  const variables = { ISO_URL: media.url, ISO_SHA256: media.sha256 };
  const submission = { files: readModuleFiles([packagePath('examples', 'lab')]), variables };
  say('Building examples/lab');
  const first = await followBuild(farm, submission);
  say('Building it again');
  const second = await followBuild(farm, submission);
  await untilCleared(client, name);
  Object.assign(facts, { firstBuildMs: first.durationMs, secondBuildMs: second.durationMs });
  return first.outcome === 'succeeded' && second.outcome === 'succeeded' && second.started === 0;
}

/** The farm removes behind its builds what they needed; VPCs go last. */
async function untilCleared(client: ClusterClient, farm: string): Promise<void> {
  const built = { resource: RESOURCES.vpcs, labels: { [LABELS.farm]: farm, [LABELS.role]: 'build' } };
  const until = (objects: ReadonlyMap<string, unknown>) => (objects.size === 0 ? true : undefined);
  const { signal } = new AbortController();
  await waitForSet(client, built, { signal, deadlineMs: CLEARED_MS, what: 'the networks of the builds to go', until });
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
