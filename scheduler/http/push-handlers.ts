import type { Response } from 'express';
import type { Redis } from 'ioredis';
import type { Dispatcher } from 'undici';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { PushView } from '../../common/contracts/exports.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { readLayers } from '../../common/redis/layers.ts';
import { readSealedSecrets } from '../../common/redis/secrets.ts';
import { type ContainerReference, parseContainerReference } from '../../common/registry/image-reference.ts';
import type { RegistryOptions } from '../../common/registry/registry-session.ts';
import { pushDisk } from '../exports/push-disk.ts';
import { audit } from './audit.ts';
import { chooseDisk } from './choose-disk.ts';
import { type ExportHandlersOptions, requireExports } from './export-handlers.ts';
import type { Handlers } from './handler.ts';
import { imageShelf } from './image-views.ts';

/** Default for layers without a recorded value. */
const USUAL_ARCHITECTURE = 'amd64';

/** Dependencies of the handlers. */
export interface PushHandlersOptions extends ExportHandlersOptions {
  /** Opens the secret that a push names. */
  readonly farmKey: FarmKey;
  /** Decides which registries may be reached. */
  readonly agent: Dispatcher;
}

/** Disks of images as container images in registries. */
export function pushHandlers({ redis, exports, admit, farmKey, agent }: PushHandlersOptions) {
  return {
    async pushImage({ params, body, who, request, response }) {
      const { reference: text, secret, credentials: given, ...choice } = body;
      const reference = readTarget(text);
      const shelf = imageShelf(await readLayers(redis));
      const image = shelf.view(shelf.find(params.image));
      const disk = chooseDisk(image, choice);
      const { architecture = USUAL_ARCHITECTURE } = image.vms.find(({ vm }) => vm === disk.vm) ?? {};
      const credentials = secret === undefined ? given : await openCredentials(redis, farmKey, secret);
      const service = requireExports(exports);
      admit(response, request);
      const gone = new AbortController();
      response.once('close', () => gone.abort(new Error('The push was cancelled.')));
      const { module, version, namedAt: createdAt } = image;
      audit(response, { outcome: 'ordered', subject: `${module}:${version} to ${text}` });
      const context = { exports: service, agent, by: who.name, signal: gone.signal };
      const report = begin(response, { module, version, reference: text });
      try {
        const digest = await pushDisk(context, { disk, architecture, createdAt, reference, credentials }, report);
        report({ state: 'pushed', percent: 100, digest });
      } catch (error) {
        const code = error instanceof FarmError ? error.code : 'BrokenInvariant';
        report({ state: 'failed', percent: 0, error: { code, message: errorMessage(error) } });
      }
      response.end();
    },
  } satisfies Partial<Handlers>;
}

function readTarget(text: string): ContainerReference {
  const reference = parseContainerReference(text);
  if (reference && reference.digest === null) return reference;
  const why = reference ? 'names a digest, which only a pushed image has' : 'is not a container image reference';
  throw new FarmError('InvalidRequest', `"${text}" ${why}: write REGISTRY/PATH:TAG, such as quay.io/me/base:3.`);
}

/** @throws UnknownSecret, InvalidRequest */
async function openCredentials(redis: Redis, farmKey: FarmKey, name: string): Promise<RegistryOptions['credentials']> {
  const sealed = (await readSealedSecrets(redis, [name])).get(name);
  if (sealed === undefined) throw new FarmError('UnknownSecret', `The farm has no secret "${name}".`);
  const [, username, password] = /^([^:\n]+):([^\n]+)\n?$/.exec(farmKey.open(sealed)) ?? [];
  if (username !== undefined && password !== undefined) return { username, password };
  throw new FarmError('InvalidRequest', `The secret "${name}" does not hold USER:PASSWORD in one line.`);
}

type Change = Pick<PushView, 'state' | 'percent'> & Partial<Pick<PushView, 'digest' | 'error'>>;

/** Begins the answer; repeated progress is sent once. */
function begin(response: Response, about: Pick<PushView, 'module' | 'version' | 'reference'>) {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  let last = '';
  return (change: Change) => {
    const view: PushView = { ...about, digest: null, error: null, ...change };
    const text = JSON.stringify(view);
    if (text !== last) response.write(`data: ${text}\n\n`);
    last = text;
  };
}
