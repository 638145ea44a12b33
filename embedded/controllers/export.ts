import { ApiError } from '../api/api-error.ts';
import { fieldAt, type KubeObject, type ObjectKey, timestamp } from '../api/objects.ts';
import type { ExportAccess, ServerIdentity } from '../api/subresources/machine-access.ts';
import { contentPath } from '../exports/content-path.ts';
import type { ExportedDisk, ExportQuestion } from '../exports/export-messages.ts';
import { ExportServer } from '../exports/export-server.ts';
import { shortHash } from '../host/layout.ts';
import { type DesiredCondition, setCondition } from './conditions.ts';
import { type ControllerContext, isDeleting, keyText, queueFor, textKeyOf, uidOf } from './context.ts';
import type { MachineRegistry } from './machine-registry.ts';
import type { WorkQueue } from './work-queue.ts';

/** KubeVirt's default of `ttlDuration`. */
const DEFAULT_TTL_MS = 2 * 3_600_000;
const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000 };

/**
 * VirtualMachineExports of claims: their raw content, which a server beside that of the API gives to holders of the token of
 * the export. Its address replaces the ingress before KubeVirt's proxy.
 */
export class ExportController implements ExportAccess {
  readonly #context: ControllerContext;
  readonly #machines: MachineRegistry;
  readonly #queue: WorkQueue;
  #identity: ServerIdentity | undefined;
  #server: ExportServer | undefined;

  constructor(context: ControllerContext, machines: MachineRegistry) {
    this.#context = context;
    this.#machines = machines;
    this.#queue = queueFor(context, 'VirtualMachineExport', (key) => this.#reconcile(key));
    const wake = () => this.#wakeAll();
    machines.onRelease(wake);
    context.store.subscribe(['PersistentVolumeClaim', 'DataVolume'], wake, context.signal);
  }

  serveAs(identity: ServerIdentity): void {
    this.#identity = identity;
    this.#wakeAll();
  }

  /** Ends all transfers. */
  async close(): Promise<void> {
    await this.#server?.close();
  }

  /** @throws ApiError 401 with another token, 404 when there is no such export */
  async #find({ namespace, name, claim, token }: ExportQuestion): Promise<ExportedDisk> {
    const { store, volumes } = this.#context;
    const object = store.get('VirtualMachineExport', { namespace, name });
    if (!object || claimOf(object) !== claim || fieldAt(object.status, 'phase') !== 'Ready') {
      throw new ApiError(404, 'NotFound', `there is no export "${name}" of "${claim}"`);
    }
    const secretName = String(fieldAt(object.spec, 'tokenSecretRef') ?? '');
    const secret = store.get('Secret', { namespace, name: secretName });
    const known = Buffer.from(String(fieldAt(secret?.['data'], 'token') ?? ''), 'base64').toString();
    if (known === '' || shortHash(known, 64) !== shortHash(token, 64)) {
      throw new ApiError(401, 'Unauthorized', 'Unauthorized');
    }
    const volume = uidOf(store.get('PersistentVolumeClaim', { namespace, name: claim }) ?? object);
    // A machine may have written another file's name into its disk.
    await volumes.layersBelow(volume);
    return { path: volumes.disk(volume), sizeBytes: await volumes.virtualSize(volume) };
  }

  #wakeAll(): void {
    for (const object of this.#context.store.list('VirtualMachineExport')) this.#queue.add(textKeyOf(object));
  }

  async #reconcile(key: ObjectKey): Promise<void> {
    const { store, clock } = this.#context;
    const object = store.get('VirtualMachineExport', key);
    if (!object || isDeleting(object)) return;
    const leftMs = Date.parse(object.metadata.creationTimestamp ?? '') + ttlOf(object) - clock.now();
    if (leftMs <= 0) {
      await store.delete('VirtualMachineExport', key);
      return;
    }
    this.#queue.add(keyText(key), leftMs);
    const identity = this.#identity;
    if (!identity) return;
    const claim = store.get('PersistentVolumeClaim', { namespace: key.namespace, name: claimOf(object) });
    const why = await this.#hindrance(claim);
    if (!claim || why) return await this.#pend(object, claim, why);
    await this.#publish(object, identity);
  }

  /** Why a claim cannot be exported yet, as the condition `Ready` has it. */
  async #hindrance(claim: KubeObject | undefined): Promise<{ reason: string; message?: string } | undefined> {
    if (!claim) return { reason: 'Initializing' };
    const name = `PersistentVolumeClaim ${claim.metadata.namespace}/${claim.metadata.name}`;
    const isFilled = await this.#context.volumes.exists(uidOf(claim));
    if (!isFilled) return { reason: 'PVCPending', message: `${name} is not populated` };
    return this.#machines.isInUse(uidOf(claim)) ? { reason: 'InUse', message: `${name} is in use` } : undefined;
  }

  async #pend(
    object: KubeObject,
    claim: KubeObject | undefined,
    ready: { reason: string; message?: string } = { reason: 'Initializing' },
  ): Promise<void> {
    const { store, clock } = this.#context;
    const now = timestamp(clock.now());
    await store.updateStatus('VirtualMachineExport', object.metadata, (status) => {
      status['phase'] = 'Pending';
      status['links'] = {};
      setCondition(status, { type: 'Ready', status: 'False', ...ready }, now);
      setCondition(status, claimCondition(object, claim), now);
    });
  }

  /** Of the links of before a restart: who reads there continues. */
  #lastPort(): number {
    const links = this.#context.store.list('VirtualMachineExport').flatMap(linksOf);
    return Number(links.map((url) => new URL(url).port)[0] ?? 0);
  }

  async #publish(object: KubeObject, identity: ServerIdentity): Promise<void> {
    const { store, clock, logger } = this.#context;
    this.#server ??= new ExportServer({
      identity,
      lastPort: this.#lastPort(),
      find: (question) => this.#find(question),
      logger,
    });
    const url = await this.#server.url();
    const { namespace = '', name } = object.metadata;
    const claim = claimOf(object);
    const path = contentPath({ namespace, name, claim });
    const volumes = [{ name: claim, formats: [{ format: 'raw', url: `${url}${path}` }] }];
    await store.updateStatus('VirtualMachineExport', object.metadata, (status) => {
      status['phase'] = 'Ready';
      status['tokenSecretRef'] = fieldAt(object.spec, 'tokenSecretRef') ?? '';
      status['links'] = { external: { cert: identity.authority, volumes } };
      setCondition(status, { type: 'Ready', status: 'True', reason: 'PodReady' }, timestamp(clock.now()));
      setCondition(status, { type: 'PVCReady', status: 'True', reason: 'PVCBound' }, timestamp(clock.now()));
    });
  }
}

function claimCondition(
  { metadata: { namespace }, ...object }: KubeObject,
  claim: KubeObject | undefined,
): DesiredCondition {
  if (!claim) {
    const message = `PersistentVolumeClaim ${namespace}/${claimOf(object)} not found`;
    return { type: 'PVCReady', status: 'False', reason: 'PVCNotFound', message };
  }
  const isBound = claim.status?.['phase'] === 'Bound';
  return { type: 'PVCReady', status: isBound ? 'True' : 'False', reason: isBound ? 'PVCBound' : 'PVCPending' };
}

function claimOf(object: Pick<KubeObject, 'spec'>): string {
  return String(fieldAt(object.spec, 'source', 'name') ?? '');
}

function linksOf(object: KubeObject): string[] {
  const url = fieldAt(object.status, 'links', 'external', 'volumes', 0, 'formats', 0, 'url');
  return typeof url === 'string' && URL.canParse(url) ? [url] : [];
}

/** A Go duration such as `1h30m`. */
function ttlOf(object: KubeObject): number {
  const written = fieldAt(object.spec, 'ttlDuration');
  if (typeof written !== 'string') return DEFAULT_TTL_MS;
  const parts = [...written.matchAll(/(\d+(?:\.\d+)?)([hms])/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS_MS[unit ?? ''] ?? 0), 0);
}
