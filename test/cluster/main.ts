import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { printTable } from '../../cli/output/table.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { LABELS } from '../../common/contracts/object-names.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { findNetwork } from '../../common/kubernetes/preflight/find-network.ts';
import { preflight } from '../../common/kubernetes/preflight/preflight.ts';
import { waitForSet } from '../../common/kubernetes/wait-for.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { serveFile } from '../harness/file-server.ts';
import { followBuild } from '../harness/follow-build.ts';
import { guestImages } from '../harness/guest-images.ts';
import { builtKinds, removeEverything, startForeignFarm } from './foreign-farm.ts';
import { type ClusterTestOptions, readOptions } from './options.ts';

/*
 * Holds a cluster that is there already against what the farm needs of it: the preflight, the conformance suites that
 * hold for any cluster, and examples/lab built twice by a farm whose processes run here. What it makes on the cluster it
 * removes again. See docs/operations.md.
 */
const SUITES: Readonly<Record<NetworkKind, readonly string[]>> = {
  'kube-ovn': ['api', 'kubevirt', 'cdi', 'kube-ovn', 'storage'],
  pod: ['api', 'kubevirt', 'cdi', 'storage'],
};
/** For a test or a hook on a cluster that schedules, pulls images and imports for others too. */
const PATIENCE_MS = 600_000;
const CLEARED_MS = 300_000;

const resources = new ReleaseStack();
for (const signal of ['SIGINT', 'SIGTERM']) {
  // Not once: signal-exit, which comes with a library, ends a process without listeners.
  process.on(signal, () => void resources.close().finally(() => process.exit(130)));
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
  const network = await findNetwork(client, options.cluster, new AbortController().signal);
  facts['network'] = network;
  const conformance = await runConformance(options, network);
  const lab = await buildLab(client, options, network);
  return conformance && lab ? 'succeeded' : 'failed';
}

async function isFit(client: ClusterClient, { cluster }: ClusterTestOptions): Promise<boolean> {
  say('Asking the cluster what it has');
  const { findings } = await preflight(client, cluster, new AbortController().signal);
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
async function runConformance({ cluster, mediaHost }: ClusterTestOptions, network: NetworkKind): Promise<boolean> {
  say('Running the conformance suites that hold for any cluster');
  const { kubeconfig, storageClass, snapshotClass } = cluster;
  const env = {
    ...process.env,
    SLIPWAY_CONFORMANCE_KUBECONFIG: kubeconfig,
    SLIPWAY_CONFORMANCE_MEDIA_HOST: mediaHost,
    SLIPWAY_CONFORMANCE_PATIENCE_MS: String(PATIENCE_MS),
    ...(storageClass === undefined ? {} : { SLIPWAY_CONFORMANCE_STORAGE_CLASS: storageClass }),
    ...(snapshotClass === undefined ? {} : { SLIPWAY_CONFORMANCE_SNAPSHOT_CLASS: snapshotClass }),
  };
  const suites = SUITES[network].map((name) => `test/conformance/${name}`);
  const child = spawn('npx', ['vitest', 'run', ...suites], { cwd: packagePath(), env, stdio: 'inherit' });
  const exited = once(child, 'exit');
  // What its tests have made on the cluster they remove themselves, so it is asked to end, and waited for.
  resources.defer('conformance suites', async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await exited;
  });
  const [code] = await exited;
  facts['conformance'] = code === 0 ? 'passed' : 'failed';
  return code === 0;
}

async function buildLab(
  client: ClusterClient,
  { cluster, mediaHost }: ClusterTestOptions,
  network: NetworkKind,
): Promise<boolean> {
  const { installerIso } = await guestImages();
  const media = await serveFile(installerIso, mediaHost);
  resources.defer('media server', () => media.stop());
  const name = `test-${process.pid}`;
  say(`Starting a farm "${name}" for the cluster`);
  resources.defer('objects of the farm', () => removeEverything(client, name, network));
  if (network === 'kube-ovn' && cluster.externalSubnet === undefined) {
    say('No external subnet is named: egress gateways, and internet in guests, are left out');
  }
  const farm = await startForeignFarm({ name, cluster }, resources);
  const variables = { ISO_URL: media.url, ISO_SHA256: media.sha256 };
  const submission = { files: readModuleFiles(labFiles(network)), variables };
  say('Building examples/lab');
  const first = await followBuild(farm, submission);
  say('Building it again');
  const second = await followBuild(farm, submission);
  await untilCleared(client, name, network);
  Object.assign(facts, { firstBuildMs: first.durationMs, secondBuildMs: second.durationMs });
  return first.outcome === 'succeeded' && second.outcome === 'succeeded' && second.started === 0;
}

/** Fixed addresses and closed VPCs are KubeOVN's. */
function labFiles(network: NetworkKind): string[] {
  if (network === 'kube-ovn') return [packagePath('examples', 'lab')];
  say('Machines are on the pod network: the module "app", which asks for fixed addresses, is left out');
  return ['base', 'db', 'web'].map((name) => packagePath('examples', 'lab', `${name}.yaml`));
}

/** The farm removes behind its builds what they needed. */
async function untilCleared(client: ClusterClient, farm: string, network: NetworkKind): Promise<void> {
  const labels = { [LABELS.farm]: farm, [LABELS.role]: 'build' };
  const until = (objects: ReadonlyMap<string, unknown>) => (objects.size === 0 ? true : undefined);
  const { signal } = new AbortController();
  for (const resource of builtKinds(network)) {
    const what = `the ${resource.plural} of the builds to go`;
    await waitForSet(client, { resource, labels }, { signal, deadlineMs: CLEARED_MS, what, until });
  }
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
