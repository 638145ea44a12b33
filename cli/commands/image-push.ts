import type { Command } from 'commander';
import type { PushView } from '../../common/contracts/exports.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { parseContainerReference, pinnedReference } from '../../common/registry/image-reference.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { carriedError } from '../client/refusal.ts';
import { dockerCredentials } from '../exports/docker-credentials.ts';
import { printLine } from '../output/print.ts';
import { TransferLine } from '../output/transfer-line.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface PushFlags extends ConnectionFlags {
  readonly vm?: string;
  readonly disk?: string;
  readonly secret?: string;
}

/** `image push`; `reference` describes the form of an image's name. */
export function addPushCommand(command: Command, reference: string): void {
  const pushing = command
    .command('push')
    .description('push a disk of an image to a container registry, as a containerDisk of KubeVirt')
    .argument('<image>', reference)
    .argument('<target>', 'REGISTRY/PATH:TAG, such as quay.io/me/base:3')
    .option('--vm <name>', 'the VM, where the image has several')
    .option('--disk <name>', 'its disk, where it has several')
    .option(
      '--secret <name>',
      'log in with this secret of the farm, which holds USER:PASSWORD (default: what `docker login` has kept on this machine)',
    );
  addConnectionFlags(pushing).action(async (image: string, target: string, flags: PushFlags) => {
    const { vm, disk, secret, ...connection } = flags;
    const parsed = parseContainerReference(target);
    if (!parsed) {
      const remedy = 'write REGISTRY/PATH:TAG, such as quay.io/me/base:3';
      throw new FarmError('InvalidRequest', `"${target}" is not a container image reference: ${remedy}.`);
    }
    const credentials = secret === undefined ? dockerCredentials(parsed.registry, process.env) : undefined;
    const order = { reference: target, vm, disk, secret, credentials };
    const { module, version, digest } = await pushed(new FarmClient(requireFarm(connection)).images.push(image, order));
    printLine(`${module}:${version} is ${target} now. Modules start from it by`);
    printLine(`  source: { containerDisk: ${pinnedReference(parsed, digest ?? '')} }`);
  });
}

async function pushed(views: AsyncIterable<PushView>): Promise<PushView> {
  const line = new TransferLine(process.stderr);
  try {
    for await (const view of views) {
      if (view.state === 'pushed') return view;
      if (view.error) throw carriedError(view.error);
      line.showShare(`${view.reference}: ${view.state}`, view.percent);
    }
  } finally {
    line.clear();
  }
  throw new FarmError('ConnectionLost', 'The farm stopped answering before the image was pushed.', {
    details: { solve: 'Push it again: content that the registry already has is not sent again.' },
  });
}
