import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { DEFAULT_RELAY_IMAGE } from '../../common/config/cluster-options.ts';
import { packagePath, programCommand } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { startForeignFarm } from '../cluster/foreign-farm.ts';
import { clusterConfig } from '../harness/api-server.ts';
import { startEmbeddedCluster } from '../harness/embedded-cluster.ts';
import { serveFile } from '../harness/file-server.ts';
import { followBuild } from '../harness/follow-build.ts';
import { guestImages } from '../harness/guest-images.ts';
import { type Recorded, startRecordingProxy } from './recording-proxy.ts';

let recording: Promise<readonly Recorded[]> | undefined;

/** Everything that a farm asks of its cluster while it builds `recorded.yaml` on an embedded one; recorded once a run. */
export function recordedBuild(): Promise<readonly Recorded[]> {
  recording ??= record();
  return recording;
}

async function record(): Promise<readonly Recorded[]> {
  const resources = new ReleaseStack();
  try {
    const podCommands = { [DEFAULT_RELAY_IMAGE]: programCommand('workers/relay/main') };
    const embedded = await startEmbeddedCluster({ podCommands, config: { namespaces: ['slipway'] } });
    resources.defer('cluster', () => embedded.stop());
    const proxy = await startRecordingProxy(embedded.kubeconfig);
    resources.defer('proxy', () => proxy.close());
    const kubeconfig = join(embedded.dataDir ?? '', 'recorded');
    await writeFile(kubeconfig, JSON.stringify(proxy.kubeconfig));
    const image = await serveFile((await guestImages()).cloudImage);
    resources.defer('image', () => image.stop());
    const cluster = clusterConfig(kubeconfig, { namespace: 'slipway' });
    const farm = await startForeignFarm({ name: 'recorded', cluster }, resources);
    await farm.setSecret('note', 'a secret');
    const files = readModuleFiles([packagePath('test', 'kubernetes', 'recorded.yaml')]);
    const { outcome } = await followBuild(farm, { files, variables: { IMAGE: image.url, SHA256: image.sha256 } });
    if (outcome !== 'succeeded') throw new Error(`The build that is to be recorded ${outcome}.`);
    return [...proxy.records];
  } finally {
    await resources.close();
  }
}
