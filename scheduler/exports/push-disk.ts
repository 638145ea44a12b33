import type { Dispatcher } from 'undici';
import type { PushView } from '../../common/contracts/exports.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { containerDiskLayer } from '../../common/registry/container-disk.ts';
import { type ContainerReference, registryUrl } from '../../common/registry/image-reference.ts';
import { assertPushAllowed, pushImage } from '../../common/registry/push-image.ts';
import { RegistryError, type RegistryOptions } from '../../common/registry/registry-session.ts';
import type { ExportOrder, ExportService } from './export-service.ts';

/** A registry may move a large layer before it answers. */
const COMMIT_MS = 10 * 60_000;

/** Dependencies of a push. */
export interface PushContext {
  readonly exports: ExportService;
  /** Decides which registries may be reached. */
  readonly agent: Dispatcher;
  /** Name of the token that asks. */
  readonly by: string;
  readonly signal: AbortSignal;
}

/** A disk, and where it goes. */
export interface PushOrder {
  readonly disk: Omit<ExportOrder, 'format'>;
  /** Of the machine that it boots, as Go names it: a cluster takes no container image of another one. */
  readonly architecture: string;
  /** ISO 8601, when the image got its name. */
  readonly createdAt: string;
  readonly reference: ContainerReference;
  readonly credentials: RegistryOptions['credentials'];
}

type Progress = Pick<PushView, 'state' | 'percent'>;

/**
 * Pushes a disk as a containerDisk and returns the digest of the image; `onProgress` receives the progress. It stores no state: the
 * file is an ordinary export, and content that the registry has is not sent again by the next push.
 * @throws RegistryRefused, and what made the export fail
 */
export async function pushDisk(
  { exports, agent, by, signal }: PushContext,
  { disk, architecture, createdAt, reference, credentials }: PushOrder,
  onProgress: (progress: Progress) => void,
): Promise<string> {
  const registry = { agent: patient(agent), signal, ...(credentials ? { credentials } : {}) };
  // An export takes minutes: a registry that refuses is reported before.
  await askRegistry(reference, signal, () => assertPushAllowed(reference, registry));
  let view = await exports.start({ ...disk, format: 'qcow2' }, by);
  while (view.state !== 'ready') {
    if (view.error) throw new FarmError('ClusterUnavailable', `The disk could not be exported: ${view.error.message}`);
    onProgress({ state: 'exporting', percent: view.percent });
    await exports.changed(view.id, signal);
    signal.throwIfAborted();
    view = await exports.view(view.id, by);
  }
  onProgress({ state: 'packing', percent: 0 });
  const layer = await containerDiskLayer(await exports.content(view.id), 'disk.qcow2');
  const { module, version } = disk;
  const annotations = {
    'org.opencontainers.image.title': module,
    'org.opencontainers.image.version': String(version),
    'org.opencontainers.image.created': createdAt,
  };
  const onPushed = (done: number, total: number) =>
    onProgress({ state: 'pushing', percent: Math.floor((100 * done) / total) });
  return await askRegistry(reference, signal, () =>
    pushImage(reference, { layer, architecture, createdAt, annotations }, { ...registry, onProgress: onPushed }),
  );
}

async function askRegistry<T>(reference: ContainerReference, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof RegistryError)) throw error;
    const message = `The registry at ${new URL(registryUrl(reference)).host} did not accept the image: ${error.message}.`;
    throw new FarmError('RegistryRefused', message, { cause: error });
  }
}

function patient(agent: Dispatcher): Dispatcher {
  return agent.compose(
    (dispatch) => (request, handler) => dispatch({ ...request, headersTimeout: COMMIT_MS }, handler),
  );
}
