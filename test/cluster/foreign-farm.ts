import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { FarmClient } from '../../cli/client/farm-client.ts';
import { readReadyEvent } from '../../cli/farm/child-process.ts';
import { FarmFiles } from '../../cli/farm/farm-files.ts';
import { Supervisor } from '../../cli/farm/supervisor.ts';
import { programCommand } from '../../common/config/package-root.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { type BuildIdentity, LABELS } from '../../common/contracts/object-names.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { ANY_ADDRESS } from '../../common/fetch/address-guard.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { removedKinds } from '../../common/kubernetes/made-kinds.ts';
import type { KubernetesObject } from '../../common/kubernetes/objects.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';
import { teardownBuild } from '../../common/kubernetes/teardown.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { startRedis } from '../harness/redis-server.ts';

/** A farm whose processes run here and whose cluster is elsewhere. `name` labels everything that it makes there. */
export async function startForeignFarm(
  { name, cluster }: { readonly name: string; readonly cluster: ClusterConfig },
  resources: ReleaseStack,
): Promise<FarmClient> {
  const redis = await startRedis();
  resources.defer('redis-server', () => redis.stop());
  const folder = mkdtempSync(join(tmpdir(), 'slipway-foreign-'));
  resources.defer('folder of the farm', () => rmSync(folder, { recursive: true, force: true }));
  const files = new FarmFiles(folder);
  // Read already: their texts are defaults again.
  const { limits: _limits, leastFreeStorage: _least, ...configured } = cluster;
  const config = {
    farm: { name, id: name, keyFile: files.secretFile('farm-key') },
    redis: { url: redis.url },
    http: { port: 0, tokenFile: files.secretFile('token') },
    clusters: [configured],
    retention: { failure: '0' },
    // The media are served from this machine.
    fetch: { allowedAddresses: ANY_ADDRESS },
  };
  writeFileSync(files.config, stringify(config), { mode: 0o600 });
  const supervisor = new Supervisor(createLogger({ name: 'test', level: 'warn' }), () => {});
  resources.defer('processes of the farm', () => supervisor.stop());
  const start = (process: string, command: readonly string[]) => {
    const [file = '', ...args] = command;
    return supervisor.start({
      name: process,
      command: [file, ...args],
      environment: environment(files.config),
      logFile: files.log(process),
      readReady: readReadyEvent,
    });
  };
  // One after the other: a small machine would be slow with all at once.
  const scheduler = await start('scheduler', programCommand('scheduler/main'));
  for (const phase of PHASES) await start(`${phase}-1`, [...programCommand('workers/main'), '--phase', phase]);
  const url = scheduler['url'];
  assert(typeof url === 'string', 'The ready line of the scheduler carries its url.');
  return new FarmClient({ url, token: files.secret('token') });
}

/** No option of the farm may come from the environment of the caller. */
function environment(config: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('SLIPWAY_'));
  return { ...Object.fromEntries(kept), SLIPWAY_CONFIG: config };
}

/** What a farm leaves on purpose: templates before the snapshots they name, sources, and what the rest is in. */
const LEFT: readonly Resource<KubernetesObject>[] = [
  RESOURCES.machines,
  RESOURCES.snapshots,
  RESOURCES.dataVolumes,
  RESOURCES.claims,
  RESOURCES.secrets,
];

const TEARDOWN_MS = 180_000;

/** Removes all that a farm has made which is not running any more: builds that were cut off, layers, templates, sources. */
export async function removeEverything(cluster: ClusterClient, farm: string, network: NetworkKind): Promise<void> {
  for (const identity of await cutOff(cluster, farm, network)) {
    const { signal } = new AbortController();
    await teardownBuild(cluster, { farm, identity, network, signal, deadlineMs: TEARDOWN_MS });
  }
  for (const resource of LEFT) {
    const { items } = await cluster.list(resource, { labels: { [LABELS.farm]: farm } });
    for (const { metadata } of items) await cluster.delete(resource, metadata?.name ?? '');
  }
}

/** Kinds that carry the labels of a build, and are gone when it is removed. */
export function builtKinds(network: NetworkKind): Resource<KubernetesObject>[] {
  return removedKinds(network).map(({ resource }) => resource);
}

/** The layer builds of which something is left. */
async function cutOff(cluster: ClusterClient, farm: string, network: NetworkKind): Promise<BuildIdentity[]> {
  const found = new Map<string, BuildIdentity>();
  for (const resource of builtKinds(network)) {
    const { items } = await cluster.list(resource, { labels: { [LABELS.farm]: farm, [LABELS.role]: 'build' } });
    for (const { metadata: { labels = {} } = {} } of items) {
      const [layerBuild = '', generation = ''] = [labels[LABELS.layerBuild], labels[LABELS.generation]];
      found.set(`${layerBuild}/${generation}`, { layerBuild, generation: Number(generation) });
    }
  }
  return [...found.values()];
}
