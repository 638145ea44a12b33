import type { ImageView } from '../../common/contracts/images.ts';
import type { CompiledModule, RunTerms } from '../../common/contracts/module/compiled.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';

/** A clone is on its cluster within this, or it is given up. */
const STARTING_MS = 2 * 3_600_000;

/**
 * The module of which a clone is an instance, as the image's template keeps it. @throws ClusterUnfit where it keeps none
 */
export async function readRunnable(cluster: Pick<ClusterClient, 'get'>, image: ImageView): Promise<CompiledModule> {
  const template = await cluster.get(RESOURCES.machines, image.vms[0]?.template ?? '');
  const kept = template?.metadata?.annotations?.[ANNOTATIONS.recipe];
  if (kept !== undefined) return JSON.parse(kept) as CompiledModule;
  const what = template ? 'was created by a version of the farm that did not store how to run it' : 'no longer exists';
  const message = `${image.module}:${image.version} cannot be run: its template on the cluster "${image.cluster}" ${what}.`;
  throw new FarmError('ClusterUnfit', message, {
    details: { solve: 'Build the image again: `slipway build --rebuild`.' },
  });
}

/** The clone's own module: every VM starts from that VM of the image. `open` opens sealed values. */
export function cloneModule(
  kept: CompiledModule,
  image: Pick<ImageView, 'module' | 'version'>,
  { run, open }: { readonly run: RunTerms; readonly open: (sealed: string) => string },
): CompiledModule {
  const { module, version } = image;
  const vms = kept.vms.map((vm) => {
    const { communicator } = vm;
    const { sshPassword } = communicator;
    return {
      ...vm,
      source: { kind: 'buildRef', module, vm: vm.name, namespace: null, image: `${module}:${version}` } as const,
      communicator: { ...communicator, sshPassword: sshPassword === null ? null : open(sshPassword) },
    };
  });
  return { ...kept, name: module, vms, timeoutMs: STARTING_MS, run };
}
