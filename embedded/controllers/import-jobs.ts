import { anySignal } from '../../common/lifecycle/any-signal.ts';
import { listAt } from '../api/json-lists.ts';
import { fieldAt, type JsonObject, type KubeObject } from '../api/objects.ts';
import { runDirOf } from '../host/layout.ts';
import { ImportError } from '../storage/import-error.ts';
import type { ImportSource } from '../storage/import-plan.ts';
import { importImage } from '../storage/importer.ts';
import { type ControllerContext, textKeyOf, uidOf } from './context.ts';
import { type DataVolumeChange, writeDataVolumeStatus } from './data-volume-status.ts';
import { decodedData } from './secret-values.ts';

/** Kubelet's CrashLoopBackOff after a first restart at once, begun lower: one machine has no image to pull again. */
const FIRST_DELAY_MS = 1_000;
const LAST_DELAY_MS = 300_000;
/** Progress is written at most this often; CDI polls its worker every 2 s. */
const PROGRESS_INTERVAL_MS = 250;

/** Where an import goes. */
export interface ImportTarget {
  readonly volume: string;
  readonly capacityBytes: number;
}

interface Job {
  readonly uid: string;
  readonly abort: AbortController;
}

interface Attempt {
  readonly restarts: number;
  /** The source has answered with a file. */
  readonly onOpened: () => Promise<void>;
  readonly signal: AbortSignal;
}

/** The `Running` condition of CDI's pod. */
type Running = DataVolumeChange['running'] & {};
const CREATING: Running = { status: 'False', reason: 'ContainerCreating', message: '' };
const RUNNING: Running = { status: 'True', reason: 'Pod is running', message: '' };
const WITHOUT_SCRATCH: Running = {
  status: 'False',
  reason: 'Scratch space required',
  message: 'scratch space required and none found',
};

/**
 * Imports that are under way, one per DataVolume. As in CDI a failed import is repeated without end, with the
 * one exception of a checksum that does not match. After a restart of the server it begins again.
 */
export class ImportJobs {
  readonly #context: ControllerContext;
  readonly #jobs = new Map<string, Job>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Starts the import, unless it is under way. */
  ensure(dataVolume: KubeObject, target: ImportTarget): void {
    const key = textKeyOf(dataVolume);
    if (this.#jobs.get(key)?.uid === uidOf(dataVolume)) return;
    this.cancel(key);
    const job: Job = { uid: uidOf(dataVolume), abort: new AbortController() };
    this.#jobs.set(key, job);
    const signal = anySignal(job.abort.signal, this.#context.signal);
    this.#run(dataVolume, target, signal)
      .catch((error: unknown) => {
        if (!signal.aborted) this.#context.logger.error({ err: error, key }, 'An import ended unexpectedly');
      })
      .finally(() => {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
      });
  }

  /** Ends the import of a DataVolume that has gone. */
  cancel(key: string): void {
    this.#jobs.get(key)?.abort.abort(new Error('The DataVolume has gone'));
    this.#jobs.delete(key);
  }

  /** The pod of an import: its container is begun again in the same pod, and every time that is counted. */
  async #run(dataVolume: KubeObject, target: ImportTarget, signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    let restarts = Number(fieldAt(dataVolume.status, 'restartCount') ?? 0);
    // Registry images are unpacked, so their pod has scratch space from the beginning.
    let hasScratch = fieldAt(dataVolume.spec, 'source', 'registry') !== undefined;
    const onOpened = async () => {
      if (hasScratch) return;
      hasScratch = true;
      await this.#write(dataVolume, { running: WITHOUT_SCRATCH });
      await this.#write(dataVolume, { phase: 'ImportScheduled', running: WITHOUT_SCRATCH });
      await this.#write(dataVolume, { phase: 'ImportInProgress', running: RUNNING });
    };
    await this.#write(dataVolume, { phase: 'ImportScheduled', running: CREATING });
    while (!signal.aborted) {
      const lacking = this.#missingSecret(dataVolume);
      if (lacking !== undefined) {
        // Its container was never begun, so it is not begun again.
        const message = `secret "${lacking}" not found`;
        await this.#reportFailure(dataVolume, { reason: 'CreateContainerConfigError', message });
        await clock.after(FIRST_DELAY_MS, signal);
        continue;
      }
      const failure = await this.#attempt(dataVolume, target, { restarts, onOpened, signal });
      if (!failure || signal.aborted) return;
      if (failure.reason === 'ChecksumError') return await this.#giveUp(dataVolume, target, failure);
      await this.#reportFailure(dataVolume, failure);
      // By the count in the status: a restart of the server does not begin with short delays again.
      await clock.after(restarts === 0 ? 0 : Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** (restarts - 1)), signal);
      restarts += 1;
    }
  }

  async #attempt(
    dataVolume: KubeObject,
    target: ImportTarget,
    { restarts, onOpened, signal }: Attempt,
  ): Promise<ImportError | undefined> {
    const { volumes, layout, clock, confiner, allowedAddresses } = this.#context;
    let writtenAt = 0;
    let opened: Promise<void> | undefined;
    try {
      const counted = restarts === 0 ? {} : { restarts };
      await this.#write(dataVolume, { phase: 'ImportInProgress', running: RUNNING, ...counted });
      await importImage({
        source: this.#source(dataVolume),
        directory: runDirOf(layout, 'imports', target.volume),
        disk: volumes.disk(target.volume),
        capacityBytes: target.capacityBytes,
        allowedAddresses: await allowedAddresses(),
        confiner,
        signal,
        onOpened: () => {
          opened = onOpened();
          opened.catch(() => {});
        },
        onProgress: (share) => {
          if (clock.now() - writtenAt < PROGRESS_INTERVAL_MS || share >= 1) return;
          writtenAt = clock.now();
          void this.#write(dataVolume, { progress: share }).catch(() => {});
        },
      }).finally(() => opened);
      await this.#reportSuccess(dataVolume);
      return undefined;
    } catch (error) {
      return error instanceof ImportError ? error : new ImportError('Error', String(error), error);
    }
  }

  #source(dataVolume: KubeObject): ImportSource {
    const source = (dataVolume.spec?.['source'] ?? {}) as { readonly [kind: string]: JsonObject | undefined };
    const { namespace } = dataVolume.metadata;
    if (source['http']) return this.#http(source['http'], namespace);
    if (source['registry']) return this.#registry(source['registry'], namespace);
    const kinds = Object.keys(source).join(', ');
    throw new ImportError('Error', `Sources of kind "${kinds}" are not offered by the embedded cluster`);
  }

  #registry(registry: JsonObject, namespace: string | undefined): ImportSource {
    const missing = ['imageStream', 'certConfigMap'].find((field) => registry[field] !== undefined);
    if (missing) throw new ImportError('Error', `registry.${missing} is not offered by the embedded cluster`);
    const credentials = this.#credentials(registry, namespace);
    const architecture = String(fieldAt(registry, 'platform', 'architecture') ?? 'amd64');
    const url = String(registry['url']);
    return { kind: 'registry', registry: { url, architecture, ...(credentials ? { credentials } : {}) } };
  }

  /** The name of the Secret that its pod waits for. */
  #missingSecret({ spec, metadata: { namespace } }: KubeObject): string | undefined {
    const { http, registry } = (spec?.['source'] ?? {}) as { readonly [kind: string]: JsonObject | undefined };
    const name = (http ?? registry)?.['secretRef'];
    return typeof name === 'string' && !this.#context.store.get('Secret', { namespace, name }) ? name : undefined;
  }

  #credentials(source: JsonObject, namespace: string | undefined) {
    const name = source['secretRef'];
    const secret = decodedData(this.#context.store, { kind: 'Secret', namespace, name });
    const [username, password] = [secret.get('accessKeyId'), secret.get('secretKey')];
    return username && password ? { username: String(username), password: String(password) } : undefined;
  }

  #http(http: JsonObject, namespace: string | undefined): ImportSource {
    const trusted = decodedData(this.#context.store, { kind: 'ConfigMap', namespace, name: http['certConfigMap'] });
    const credentials = this.#credentials(http, namespace);
    const headers = [
      ...listAt(http, 'extraHeaders').map(String),
      ...listAt(http, 'secretExtraHeaders').flatMap((name) => {
        return [...decodedData(this.#context.store, { kind: 'Secret', namespace, name }).values()].map(String);
      }),
    ];
    const basic = credentials && Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
    const { checksum } = http;
    return {
      kind: 'http',
      ...(typeof checksum === 'string' ? { checksum } : {}),
      http: {
        url: String(http['url']),
        headers: {
          ...(basic ? { authorization: `Basic ${basic}` } : {}),
          ...Object.fromEntries(headers.map(splitHeader)),
        },
        ...(trusted.size > 0 ? { certificateAuthorities: [...trusted.values()].map(String) } : {}),
        mayBeUnverified: http['insecureSkipVerify'] === true,
      },
    };
  }

  async #reportSuccess(dataVolume: KubeObject): Promise<void> {
    await this.#write(dataVolume, {
      phase: 'Succeeded',
      progress: 1,
      running: { status: 'False', reason: 'Completed', message: 'Import Complete' },
    });
    const message = `Successfully imported into PVC ${dataVolume.metadata.name}`;
    this.#context.events.record(dataVolume, { type: 'Normal', reason: 'ImportSucceeded', message });
  }

  async #giveUp(dataVolume: KubeObject, { volume }: ImportTarget, { reason, message }: ImportError): Promise<void> {
    await this.#context.volumes.remove(volume);
    await this.#write(dataVolume, { phase: 'Failed', running: { status: 'False', reason, message } });
    this.#context.events.record(dataVolume, { type: 'Warning', reason, message });
  }

  /** While the container waits for its restart, CDI keeps the phase and still reports how it ended. */
  async #reportFailure(
    dataVolume: KubeObject,
    { reason, message }: { readonly reason: string; readonly message: string },
  ): Promise<void> {
    await this.#write(dataVolume, { running: { status: 'False', reason, message } });
    this.#context.events.record(dataVolume, { type: 'Warning', reason, message });
  }

  #write(dataVolume: KubeObject, change: DataVolumeChange): Promise<void> {
    return writeDataVolumeStatus(this.#context, dataVolume, change);
  }
}

/** `Name: value`, as CDI hands it to curl. */
function splitHeader(header: string): readonly [string, string] {
  const at = header.indexOf(':');
  return [header.slice(0, at).trim(), header.slice(at + 1).trim()];
}
