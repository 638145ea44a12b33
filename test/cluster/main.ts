import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { printTable } from '../../cli/output/table.ts';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { findNetwork } from '../../common/kubernetes/preflight/find-network.ts';
import { preflight } from '../../common/kubernetes/preflight/preflight.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { serveFile } from '../harness/file-server.ts';
import { followBuild } from '../harness/follow-build.ts';
import { RUN_VARIABLE } from '../harness/foreign-cluster.ts';
import { guestImages } from '../harness/guest-images.ts';
import { startForeignFarm } from './foreign-farm.ts';
import { type ClusterTestOptions, readOptions } from './options.ts';
import { removeFarm, removeSuites, untilCleared } from './remains.ts';

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

/** Names the farm and the namespaces of the suites. */
const run = `test-${randomBytes(4).toString('hex')}`;
const resources = new ReleaseStack();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  // Not once: signal-exit, which comes with a library, ends a process without listeners.
  process.on(signal, () => interrupted.abort(new Error(`It got ${signal}. What it made is being removed.`)));
}
const facts: Record<string, unknown> = {};
let outcome = 'failed';
try {
  outcome = await unlessInterrupted(testCluster(readOptions(process.argv.slice(2), process.env)));
} catch (error) {
  say(`The test of the cluster ended early. ${errorMessage(error)}`);
}
await resources.close().catch((error: AggregateError) => {
  outcome = 'failed';
  for (const { message, cause } of error.errors) say(`${message} ${errorMessage(cause)}`);
});
console.log(JSON.stringify({ event: 'cluster-finished', outcome, ...facts }));
// What was interrupted may still wait for something.
process.exit(outcome === 'succeeded' ? 0 : 1);

/** As `work` ends, or at once with a signal: `work` ends then at its next step, or by what is closed. */
async function unlessInterrupted<T>(work: Promise<T>): Promise<T> {
  const { signal } = interrupted;
  const cut = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  return await Promise.race([work, cut]);
}

async function testCluster(options: ClusterTestOptions): Promise<string> {
  const client = new ClusterClient(options.cluster);
  resources.defer('connections', () => client.transport.close());
  if (!(await isFit(client, options))) return 'unfit';
  const network = await findNetwork(client, options.cluster, interrupted.signal);
  facts['network'] = network;
  const conformance = await runConformance(client, options, network);
  const lab = await buildLab(client, options, network);
  return conformance && lab ? 'succeeded' : 'failed';
}

async function isFit(client: ClusterClient, { cluster }: ClusterTestOptions): Promise<boolean> {
  begin('Asking the cluster what it has');
  const { findings } = await preflight(client, cluster, interrupted.signal);
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
async function runConformance(
  client: ClusterClient,
  { cluster, mediaHost }: ClusterTestOptions,
  network: NetworkKind,
): Promise<boolean> {
  begin('Running the conformance suites that hold for any cluster');
  const { kubeconfig, storageClass, snapshotClass } = cluster;
  const env = {
    ...process.env,
    SLIPWAY_CONFORMANCE_KUBECONFIG: kubeconfig,
    SLIPWAY_CONFORMANCE_MEDIA_HOST: mediaHost,
    [RUN_VARIABLE]: run,
    SLIPWAY_CONFORMANCE_PATIENCE_MS: String(PATIENCE_MS),
    ...(storageClass === undefined ? {} : { SLIPWAY_CONFORMANCE_STORAGE_CLASS: storageClass }),
    ...(snapshotClass === undefined ? {} : { SLIPWAY_CONFORMANCE_SNAPSHOT_CLASS: snapshotClass }),
  };
  const suites = SUITES[network].map((name) => `test/conformance/${name}`);
  resources.defer('what the conformance suites made', () => removeSuites(client, run, network));
  // In a session of its own: vitest would end at Ctrl-C before its processes, whose last requests would come too late.
  const child = spawn(packagePath('node_modules', '.bin', 'vitest'), ['run', ...suites], {
    ...{ cwd: packagePath(), env, stdio: 'inherit', detached: true },
  });
  const exited = once(child, 'exit');
  resources.defer('conformance suites', async () => {
    const { pid, exitCode, signalCode } = child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
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
  begin(`Starting a farm "${run}" for the cluster`);
  const { installerIso } = await guestImages();
  const media = await serveFile(installerIso, mediaHost);
  resources.defer('media server', () => media.stop());
  resources.defer('objects of the farm', () => removeFarm(client, run, network));
  if (network === 'kube-ovn' && cluster.externalSubnet === undefined) {
    say('No external subnet is named: egress gateways, and internet in guests, are left out');
  }
  const farm = await startForeignFarm({ name: run, cluster }, resources);
  const variables = { ISO_URL: media.url, ISO_SHA256: media.sha256 };
  const submission = { files: readModuleFiles(labFiles(network)), variables };
  begin('Building examples/lab');
  const first = await followBuild(farm, submission);
  begin('Building it again');
  const second = await followBuild(farm, submission);
  await untilCleared(client, run, network);
  Object.assign(facts, { firstBuildMs: first.durationMs, secondBuildMs: second.durationMs });
  return first.outcome === 'succeeded' && second.outcome === 'succeeded' && second.started === 0;
}

/** Fixed addresses and closed VPCs are KubeOVN's. */
function labFiles(network: NetworkKind): string[] {
  if (network === 'kube-ovn') return [packagePath('examples', 'lab')];
  say('Machines are on the pod network: the module "app", which asks for fixed addresses, is left out');
  return ['base', 'db', 'web'].map((name) => packagePath('examples', 'lab', `${name}.yaml`));
}

/** The next step, unless a signal came meanwhile. */
function begin(step: string): void {
  interrupted.signal.throwIfAborted();
  say(step);
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
