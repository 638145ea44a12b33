import { type Duplex, Readable } from 'node:stream';
import { z } from 'zod';
import { systemClock } from '../../common/clock/clock.ts';
import { blobViewSchema, UPLOAD_OFFSET } from '../../common/contracts/blobs.ts';
import {
  type BuildSummary,
  type BuildView,
  buildSummarySchema,
  buildViewSchema,
  type ClusterView,
  clusterViewSchema,
} from '../../common/contracts/builds.ts';
import { farmEventSchema, type KeptAnswer, type StoredEvent } from '../../common/contracts/events.ts';
import {
  type ExportView,
  type exportRequestSchema,
  exportViewSchema,
  type PushView,
  type pushRequestSchema,
  pushViewSchema,
} from '../../common/contracts/exports.ts';
import {
  type ImageView,
  imageViewSchema,
  type Pruned,
  prunedSchema,
  type RemovedImage,
  removedImageSchema,
  type TagView,
  tagViewSchema,
} from '../../common/contracts/images.ts';
import type { ImportOrder } from '../../common/contracts/imports.ts';
import type { LocalEntry } from '../../common/contracts/local-files.ts';
import { type Plan, planSchema } from '../../common/contracts/plans.ts';
import { type Provenance, provenanceSchema } from '../../common/contracts/provenance.ts';
import { type RunView, type runRequestSchema, runViewSchema } from '../../common/contracts/runs.ts';
import { type SecretView, secretViewSchema } from '../../common/contracts/secrets.ts';
import { type SerialPiece, serialPieceSchema } from '../../common/contracts/serial.ts';
import { type SshAccess, sshAccessSchema } from '../../common/contracts/ssh-access.ts';
import { type StorageView, storageViewSchema } from '../../common/contracts/storage.ts';
import {
  type CreatedToken,
  createdTokenSchema,
  type Identity,
  identitySchema,
  type Role,
  signInCodeSchema,
  type TokenView,
  tokenViewSchema,
} from '../../common/contracts/tokens.ts';
import { type Wait, waitingSchema } from '../../common/contracts/waiting.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmAddress } from './connection.ts';
import { openConsole } from './console-stream.ts';
import { followStream, type Patience, readStream, type StreamKind } from './event-stream.ts';
import { notAFarm, refusal, unreachable } from './refusal.ts';
import { trustingFetch } from './trusting-fetch.ts';

/** What is built: texts with the paths that messages name, and the values of variables. */
export interface Submission {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly variables: Readonly<Record<string, string>>;
  /** What lies beside the files, as far as they name it. */
  readonly localFiles?: readonly LocalEntry[];
}

export interface BuildOptions {
  readonly noCache?: boolean;
  readonly rebuild?: readonly string[];
  /** Names of modules; the others are left as they are. */
  readonly only?: readonly string[];
  readonly idempotencyKey?: string;
  /** `abort`, `keep` or `keep=DURATION`. */
  readonly onError?: string;
  /** Steps, `[VM/]STEP`. */
  readonly pauseBefore?: readonly string[];
  readonly priority?: string;
  /** Whose build it is. */
  readonly as?: string;
}

export const acceptedSchema = z.object({ buildId: z.string(), plan: planSchema });
export type Accepted = z.infer<typeof acceptedSchema>;

const nextCursor = z.string().nullable();
const buildsSchema = z.object({ builds: z.array(buildSummarySchema), nextCursor });
const imagesSchema = z.object({ images: z.array(imageViewSchema), nextCursor });
const secretsSchema = z.object({ secrets: z.array(secretViewSchema) });
const tokensSchema = z.object({ tokens: z.array(tokenViewSchema) });
/** The largest page that the farm gives. */
const MAX_PAGE = '1000';
const cancelledSchema = z.object({ cancelled: z.boolean() });
const continuedSchema = z.object({ step: z.int() });
const runsSchema = z.object({ runs: z.array(runViewSchema) });
const clustersSchema = z.object({ clusters: z.array(clusterViewSchema) });

const EVENTS: StreamKind<StoredEvent> = {
  read: (data, id) => {
    const { time } = streamedSchema.parse(data);
    return { ...farmEventSchema.parse(data), time, id };
  },
  isLast: ({ event }) => event === 'build-finished',
};
const SERIAL: StreamKind<SerialPiece> = {
  read: (data, id) => ({ ...serialPieceSchema.parse(data), id }),
  isLast: ({ ended }) => ended,
};
const PUSH: StreamKind<PushView & { readonly id: string }> = {
  read: (data, id) => ({ ...pushViewSchema.parse(data), id }),
  isLast: ({ state }) => state === 'pushed' || state === 'failed',
};
const streamedSchema = z.looseObject({ time: z.string() });

/** Whose serial port is read. */
export interface SerialRequest {
  readonly vm: string;
  /** The work that the VM belongs to. */
  readonly layerBuild: string;
  /** Whether to go on until that has ended. */
  readonly follow: boolean;
}

/** A token to be made; `expires` is a duration such as `30d` or `12h`. */
export interface TokenOrder {
  readonly role: Role;
  readonly name?: string;
  readonly expires?: string;
}

/** Which images may go (`pruneRequestSchema`); durations are texts such as `30d`. */
export interface PruneOrder {
  readonly keep?: number;
  readonly maxAge?: string;
  readonly untagged?: string;
  readonly dryRun?: boolean;
}

/** How a build is followed. `signal` ends it, with the signal's reason. */
export interface FollowOptions extends Partial<Patience> {
  readonly signal?: AbortSignal;
}

const PATIENT: Patience = { clock: systemClock, forMs: 10 * 60_000, onAway: () => {}, onBack: () => {} };

/** A content on its way. */
export interface BlobUpload {
  /** From `offset` on. */
  readonly content: Readable;
  readonly offset: number;
  /** Of the whole. */
  readonly sizeBytes: number;
}

interface Request {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** A text or stream is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The farm's HTTP API as functions. Every method throws `FarmUnreachable` when nothing answers, and otherwise the code
 * that the farm answered with, its problems in `details.problems`.
 */
export class FarmClient {
  readonly #farm: FarmAddress;
  #send: Promise<typeof fetch> | undefined;

  constructor(farm: FarmAddress) {
    this.#farm = farm;
  }

  submit(submission: Submission, options: BuildOptions = {}): Promise<Accepted> {
    const { onError, pauseBefore, priority, as } = options;
    const headers: Record<string, string> = options.idempotencyKey ? { 'idempotency-key': options.idempotencyKey } : {};
    return this.#call('builds', acceptedSchema, {
      method: 'POST',
      body: submission,
      query: { ...reuseQuery(options), onError, pauseBefore, priority, as },
      headers,
    });
  }

  plan(submission: Submission, options: BuildOptions = {}): Promise<Plan> {
    return this.#call('plan', planSchema, { method: 'POST', body: submission, query: reuseQuery(options) });
  }

  /** The latest hundred, newest first. */
  async builds(signal?: AbortSignal): Promise<BuildSummary[]> {
    return (await this.#call('builds', buildsSchema, {}, signal)).builds;
  }

  /** All of them, newest first, as far as they are read. */
  async *allBuilds(): AsyncGenerator<BuildSummary> {
    for (let cursor: string | undefined; ; ) {
      const page = await this.#call('builds', buildsSchema, { query: { limit: MAX_PAGE, cursor } });
      yield* page.builds;
      if (page.nextCursor === null) return;
      cursor = page.nextCursor;
    }
  }

  /** The token that this client sends. */
  identity(): Promise<Identity> {
    return this.#call('whoami', identitySchema);
  }

  build(id: string): Promise<BuildView> {
    return this.#call(`builds/${encodeURIComponent(id)}`, buildViewSchema);
  }

  /** What its modules wait for. */
  async waiting(id: string): Promise<Wait[]> {
    return (await this.#call(`builds/${encodeURIComponent(id)}/waiting`, waitingSchema)).waits;
  }

  /** False when it had ended before. */
  async cancel(id: string): Promise<boolean> {
    const answer = await this.#call(`builds/${encodeURIComponent(id)}/cancel`, cancelledSchema, { method: 'POST' });
    return answer.cancelled;
  }

  /** Builds what did not succeed in a build again. */
  retry(id: string, query: { readonly onError?: string } = {}): Promise<Accepted> {
    return this.#call(`builds/${encodeURIComponent(id)}/retry`, acceptedSchema, { method: 'POST', query });
  }

  /** Makes a version of an image from a disk image as it is; the same key is the same import. */
  importImage(module: string, order: ImportOrder, idempotencyKey: string): Promise<Accepted> {
    const headers = { 'idempotency-key': idempotencyKey };
    const path = `images/${encodeURIComponent(module)}/imports`;
    return this.#call(path, acceptedSchema, { method: 'POST', body: order, headers });
  }

  /** Lets the step of a VM go on that waits for a person, or answers for one that has failed; its index. */
  async continue(id: string, vm: string, answer?: KeptAnswer): Promise<number> {
    const request = { method: 'POST', query: { answer } } as const;
    return (await this.#call(`${vmPath(id, vm)}/continue`, continuedSchema, request)).step;
  }

  /** The screen of a VM (PNG): live, or the picture that was kept. */
  async screenshot(id: string, vm: string): Promise<Buffer> {
    return Buffer.from(await (await this.#fetch(`${vmPath(id, vm)}/screenshot`, {})).arrayBuffer());
  }

  /** Opens the console of a VM: raw RFB bytes. */
  openConsole(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#farm, `${this.#farm.url}/api/v1/${vmPath(id, vm)}/vnc`);
  }

  /** Opens the first serial port of a VM: bytes as they are. */
  openSerialConsole(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#farm, `${this.#farm.url}/api/v1/${vmPath(id, vm)}/serial-console`);
  }

  /** How to log in to a VM on which a step waits. */
  sshAccess(id: string, vm: string): Promise<SshAccess> {
    return this.#call(`${vmPath(id, vm)}/ssh-access`, sshAccessSchema);
  }

  /** Opens the SSH server of a VM on which a step waits: bytes as they are. */
  openSsh(id: string, vm: string): Promise<Duplex> {
    return openConsole(this.#farm, `${this.#farm.url}/api/v1/${vmPath(id, vm)}/ssh`);
  }

  /** All of them, newest first. */
  async images(module?: string): Promise<ImageView[]> {
    const found: ImageView[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await this.#call('images', imagesSchema, { query: { limit: MAX_PAGE, cursor, module } });
      found.push(...page.images);
      if (page.nextCursor === null) return found;
      cursor = page.nextCursor;
    }
  }

  /** How an image came about. */
  provenance(reference: string): Promise<Provenance> {
    return this.#call(`images/${encodeURIComponent(reference)}/provenance`, provenanceSchema);
  }

  /** `NAME`, `NAME:VERSION` or `NAME@TAG`. */
  image(reference: string): Promise<ImageView> {
    return this.#call(`images/${encodeURIComponent(reference)}`, imageViewSchema);
  }

  /** Starts a clone of an image. */
  run(reference: string, order: z.input<typeof runRequestSchema>): Promise<RunView> {
    return this.#call(`images/${encodeURIComponent(reference)}/runs`, runViewSchema, { method: 'POST', body: order });
  }

  /** The clones that have not ended, newest first. */
  async runs(): Promise<RunView[]> {
    return (await this.#call('runs', runsSchema)).runs;
  }

  tagImage(module: string, tag: string, version: number): Promise<TagView> {
    return this.#call(tagPath(module, tag), tagViewSchema, { method: 'PUT', body: { version } });
  }

  async untagImage(module: string, tag: string): Promise<void> {
    await this.#call(tagPath(module, tag), z.unknown(), { method: 'DELETE' });
  }

  /** `force`: also when it has a tag or others stand on it. */
  removeImage(reference: string, { force = false } = {}): Promise<RemovedImage> {
    const query = { force: force ? 'true' : undefined };
    return this.#call(`images/${encodeURIComponent(reference)}`, removedImageSchema, { method: 'DELETE', query });
  }

  /** Removes what a retention lets go; without one, what that of the farm's configuration does. */
  pruneImages(order: PruneOrder): Promise<Pruned> {
    return this.#call('images/prune', prunedSchema, { method: 'POST', body: order });
  }

  /** Orders a file of a disk, or finds the one that is there. */
  exportImage(reference: string, order: z.input<typeof exportRequestSchema>): Promise<ExportView> {
    const path = `images/${encodeURIComponent(reference)}/exports`;
    return this.#call(path, exportViewSchema, { method: 'POST', body: order });
  }

  /** An export, when it has moved on or after some seconds. */
  export(id: string): Promise<ExportView> {
    return this.#call(`exports/${id}`, exportViewSchema, { query: { wait: 'true' } });
  }

  /** The file of an export from a byte on. */
  async *exportContent(id: string, offset: number): AsyncGenerator<Buffer> {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const response = await this.#fetch(`exports/${id}/content`, { headers });
    if (offset > 0 && response.status !== 206) throw notAFarm(this.#farm.url, 'it does not support range requests');
    for await (const chunk of response.body ?? []) yield Buffer.from(chunk);
  }

  /** Pushes a disk of an image to a registry, and says how far that is; leaving the loop calls it off. */
  async *pushImage(reference: string, order: z.input<typeof pushRequestSchema>): AsyncGenerator<PushView> {
    const path = `images/${encodeURIComponent(reference)}/pushes`;
    yield* readStream(PUSH, await this.#fetch(path, { method: 'POST', body: order }));
  }

  /** How many bytes of a content the farm has, and whether that is all of it. */
  async received(sha256: string): Promise<{ readonly bytes: number; readonly isWhole: boolean }> {
    const response = await this.#ask(`blobs/${sha256}`, { method: 'HEAD' });
    if (!response.ok && response.status !== 404) throw refusal(this.#farm.url, response.status, '');
    return { bytes: Number(response.headers.get(UPLOAD_OFFSET) ?? 0), isWhole: response.ok };
  }

  /** Sends a content, or the rest of it from `offset` on. */
  async putBlob(sha256: string, { content, offset, sizeBytes }: BlobUpload): Promise<void> {
    const range = offset > 0 ? { 'content-range': `bytes ${offset}-${sizeBytes - 1}/${sizeBytes}` } : {};
    const headers = { 'content-length': String(sizeBytes - offset), ...range };
    await this.#call(`blobs/${sha256}`, blobViewSchema, { method: 'PUT', headers, body: content });
  }

  setSecret(name: string, value: string): Promise<SecretView> {
    return this.#call(`secrets/${encodeURIComponent(name)}`, secretViewSchema, { method: 'PUT', body: value });
  }

  async secrets(): Promise<SecretView[]> {
    return (await this.#call('secrets', secretsSchema)).secrets;
  }

  async removeSecret(name: string): Promise<void> {
    await this.#call(`secrets/${encodeURIComponent(name)}`, z.unknown(), { method: 'DELETE' });
  }

  /** A link that opens the web console in a browser, signed in; it works once, and soon. */
  async consoleLink(): Promise<string> {
    const { code } = await this.#call('sign-in-codes', signInCodeSchema, { method: 'POST' });
    return `${this.#farm.url}/sign-in?code=${code}`;
  }

  createToken(order: TokenOrder): Promise<CreatedToken> {
    return this.#call('tokens', createdTokenSchema, { method: 'POST', body: order });
  }

  async tokens(): Promise<TokenView[]> {
    return (await this.#call('tokens', tokensSchema)).tokens;
  }

  async revokeToken(name: string): Promise<void> {
    await this.#call(`tokens/${encodeURIComponent(name)}`, z.unknown(), { method: 'DELETE' });
  }

  /** What the farm has of the storage of its clusters. */
  storage(): Promise<StorageView> {
    return this.#call('storage', storageViewSchema);
  }

  async clusters(): Promise<ClusterView[]> {
    return (await this.#call('clusters', clustersSchema)).clusters;
  }

  /** Every event of a build from its first one, then live until it is finished; reconnects where it was cut. */
  events(id: string, { signal, ...patience }: FollowOptions = {}): AsyncGenerator<StoredEvent> {
    const path = `builds/${encodeURIComponent(id)}/events`;
    const open = (lastEventId: string) => this.#fetch(path, { headers: { 'last-event-id': lastEventId } }, signal);
    return followStream(EVENTS, open, { ...PATIENT, ...patience });
  }

  /** What the farm knows of a build, as a `tar.gz`. */
  async *buildArchive(id: string): AsyncGenerator<Buffer> {
    const response = await this.#fetch(`builds/${encodeURIComponent(id)}/archive`, {});
    for await (const chunk of response.body ?? []) yield Buffer.from(chunk);
  }

  /** The events of a build up to now. */
  async *pastEvents(id: string): AsyncGenerator<StoredEvent> {
    const path = `builds/${encodeURIComponent(id)}/events`;
    yield* readStream(EVENTS, await this.#fetch(path, { query: { follow: 'false' } }));
  }

  /** What a machine has said at its serial port, then live where that is asked for. */
  async *serial(
    id: string,
    { vm, layerBuild, follow }: SerialRequest,
    { signal, ...patience }: FollowOptions = {},
  ): AsyncGenerator<SerialPiece> {
    const open = (lastEventId: string) =>
      this.#fetch(`${vmPath(id, vm)}/serial`, {
        query: { layerBuild, follow: String(follow) },
        headers: { 'last-event-id': lastEventId },
      });
    yield* follow ? followStream(SERIAL, open, { ...PATIENT, ...patience }) : readStream(SERIAL, await open('0'));
  }

  #sender(): Promise<typeof fetch> {
    const { authorities } = this.#farm;
    this.#send ??= authorities === undefined ? Promise.resolve(fetch) : trustingFetch(authorities);
    return this.#send;
  }

  async #call<T>(path: string, schema: z.ZodType<T>, request: Request = {}, signal?: AbortSignal): Promise<T> {
    const response = await this.#fetch(path, request, signal);
    const result = schema.safeParse(this.#parse(path, await response.text()));
    if (result.success) return result.data;
    throw new FarmError('BrokenInvariant', `The farm's answer to ${path} cannot be read by this version of the CLI.`);
  }

  #parse(path: string, text: string): unknown {
    try {
      return text === '' ? undefined : JSON.parse(text);
    } catch {
      throw notAFarm(this.#farm.url, `its answer to ${path} is not JSON`);
    }
  }

  async #fetch(path: string, request: Request, signal?: AbortSignal): Promise<Response> {
    const response = await this.#ask(path, request, signal);
    if (!response.ok) throw refusal(this.#farm.url, response.status, await response.text());
    return response;
  }

  async #ask(path: string, request: Request, signal?: AbortSignal): Promise<Response> {
    const url = new URL(`${this.#farm.url}/api/v1/${path}`);
    for (const [name, values] of Object.entries(request.query ?? {})) {
      for (const value of [values].flat()) if (value) url.searchParams.append(name, value);
    }
    const { body } = request;
    const [type, sent] = encoded(body);
    try {
      const send = await this.#sender();
      return await send(url, {
        method: request.method ?? 'GET',
        headers: {
          authorization: `Bearer ${this.#farm.token}`,
          ...(type === undefined ? {} : { 'content-type': type }),
          ...request.headers,
        },
        ...(sent === undefined ? {} : { body: sent, duplex: 'half' }),
        ...(signal ? { signal } : {}),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw unreachable(this.#farm.url, cause);
    }
  }
}

/** Media type and body of a request. */
function encoded(body: unknown): readonly [string, string | ReadableStream] | readonly [] {
  if (body === undefined) return [];
  if (body instanceof Readable) return ['application/octet-stream', Readable.toWeb(body) as ReadableStream];
  return typeof body === 'string' ? ['text/plain', body] : ['application/json', JSON.stringify(body)];
}

function vmPath(id: string, vm: string): string {
  return `builds/${encodeURIComponent(id)}/vms/${encodeURIComponent(vm)}`;
}

function tagPath(module: string, tag: string): string {
  return `images/${encodeURIComponent(module)}/tags/${encodeURIComponent(tag)}`;
}

function reuseQuery({ noCache, rebuild, only }: BuildOptions): Record<string, string | undefined> {
  return { noCache: noCache ? 'true' : undefined, rebuild: rebuild?.join(','), only: only?.join(',') };
}
