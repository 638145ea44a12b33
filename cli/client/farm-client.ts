import type { Readable } from 'node:stream';
import { MAX_PAGE } from '../../common/contracts/api/parameters.ts';
import type { AnswerOf, RequestOf } from '../../common/contracts/api/request.ts';
import { readWholeBuild } from '../../common/contracts/api/whole-build.ts';
import { UPLOAD_OFFSET } from '../../common/contracts/blobs.ts';
import type { BuildSummary } from '../../common/contracts/builds.ts';
import type { KeptAnswer } from '../../common/contracts/events.ts';
import type { Priority } from '../../common/contracts/owners.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { FarmAddress } from './connection.ts';
import { type BodyOf, FarmApi, type FollowOptions, queryFlag } from './farm-api.ts';
import { ImageClient } from './image-client.ts';
import { MachineClient } from './machine-client.ts';
import { headOf, refusal } from './refusal.ts';

/** A submission: texts with the paths for messages, the values of variables, and the local files. */
export type Submission = BodyOf<'submitBuild'>;

/** A build that was accepted, with its plan. */
export type Accepted = AnswerOf<'retryBuild'>;

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
  readonly priority?: Priority;
  /** Whose build it is. */
  readonly as?: string;
}

/** Of builds, as the query of `GET /builds` has it. */
type BuildFilter = Pick<NonNullable<RequestOf<'listBuilds'>['query']>, 'state' | 'by' | 'search' | 'clones'>;

/** A content on its way. */
interface BlobUpload {
  /** From `offset` on. */
  readonly content: Readable;
  readonly offset: number;
  /** Of the whole. */
  readonly sizeBytes: number;
}

/** Operations of a farm for commands. Every method throws as `FarmApi` does. */
export class FarmClient {
  readonly images: ImageClient;
  readonly machines: MachineClient;
  readonly #api: FarmApi;

  constructor(farm: FarmAddress) {
    this.#api = new FarmApi(farm);
    this.images = new ImageClient(this.#api);
    this.machines = new MachineClient(this.#api);
  }

  async submit(submission: Submission, options: BuildOptions = {}): Promise<Accepted> {
    const { onError, pauseBefore, priority, as, idempotencyKey } = options;
    const accepted = await this.#api.call('submitBuild', {
      body: submission,
      query: { ...reuseQuery(options), onError, pauseBefore, priority, as },
      headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
    });
    if ('plan' in accepted) return accepted;
    throw new FarmError(
      'BrokenInvariant',
      'The farm answered with a finished build, but the request did not wait for its end.',
    );
  }

  plan(submission: Submission, options: BuildOptions = {}) {
    return this.#api.call('plan', { body: submission, query: reuseQuery(options) });
  }

  /** The latest hundred, newest first. */
  async builds(signal?: AbortSignal) {
    return (await this.#api.call('listBuilds', {}, signal)).builds;
  }

  /** All of them, or those that match, newest first, as far as they are read. */
  async *allBuilds(filter: BuildFilter = {}): AsyncGenerator<BuildSummary> {
    for (let cursor: string | undefined; ; ) {
      const page = await this.#api.call('listBuilds', { query: { ...filter, limit: MAX_PAGE, cursor } });
      yield* page.builds;
      if (page.nextCursor === null) return;
      cursor = page.nextCursor;
    }
  }

  /** The token that this client sends. */
  identity() {
    return this.#api.call('readIdentity', {});
  }

  /** With all of its modules. */
  build(id: string) {
    return readWholeBuild((query) => this.#api.call('readBuild', { params: { id }, query }));
  }

  /** How far a build is; of its modules one at most. */
  buildHead(id: string) {
    return this.#api.call('readBuild', { params: { id }, query: { limit: 1 } });
  }

  /** Waits of its modules. */
  async waiting(id: string) {
    return (await this.#api.call('explainBuild', { params: { id } })).waits;
  }

  /** False when it had ended before. */
  async cancel(id: string) {
    return (await this.#api.call('cancelBuild', { params: { id } })).cancelled;
  }

  /** Retries the modules of a build that did not succeed. */
  retry(id: string, query: { readonly onError?: string } = {}) {
    return this.#api.call('retryBuild', { params: { id }, query });
  }

  /** Lets the step of a VM continue that waits for a person, or answers for one that has failed; its index. */
  async continue(id: string, vm: string, answer?: KeptAnswer) {
    return (await this.#api.call('continueHandbuild', { params: { id, vm }, query: { answer } })).step;
  }

  /** Starts a clone of an image. */
  run(image: string, order: BodyOf<'runImage'>) {
    return this.#api.call('runImage', { params: { image }, body: order });
  }

  /** The clones that have not ended, newest first. */
  async runs() {
    return (await this.#api.call('listRuns', {})).runs;
  }

  /** How many bytes of a content the farm has, and whether that is all of it. */
  async received(sha256: string): Promise<{ readonly bytes: number; readonly isWhole: boolean }> {
    const response = await this.#api.ask('readBlob', { params: { sha256 } }, { method: 'head' });
    if (!response.ok && response.status !== 404) throw refusal(this.#api.farm.url, headOf(response), '');
    return { bytes: Number(response.headers.get(UPLOAD_OFFSET) ?? 0), isWhole: response.ok };
  }

  /** Sends a content, or the rest of it from `offset` on. */
  async putBlob(sha256: string, { content, offset, sizeBytes }: BlobUpload): Promise<void> {
    const range = offset > 0 ? { 'content-range': `bytes ${offset}-${sizeBytes - 1}/${sizeBytes}` } : {};
    const headers = { 'content-length': String(sizeBytes - offset), ...range };
    await this.#api.call('putBlob', { params: { sha256 }, headers, body: content });
  }

  setSecret(name: string, value: string) {
    return this.#api.call('setSecret', { params: { name }, body: value });
  }

  async secrets() {
    return (await this.#api.call('listSecrets', {})).secrets;
  }

  removeSecret(name: string) {
    return this.#api.call('removeSecret', { params: { name } });
  }

  /** A link that opens the web console in a browser, signed in; valid once, for 15 minutes. */
  async consoleLink(): Promise<string> {
    const { code } = await this.#api.call('createSignInCode', {});
    return `${this.#api.farm.url}/sign-in?code=${code}`;
  }

  createToken(order: BodyOf<'createToken'>) {
    return this.#api.call('createToken', { body: order });
  }

  async tokens() {
    return (await this.#api.call('listTokens', {})).tokens;
  }

  revokeToken(name: string) {
    return this.#api.call('revokeToken', { params: { name } });
  }

  /** Storage of the farm on its clusters. */
  storage() {
    return this.#api.call('readStorage', {});
  }

  /** Mode, limits and labels of a cluster; null restores the configured limit, and removes a label. */
  changeCluster(cluster: string, change: BodyOf<'changeCluster'>) {
    return this.#api.call('changeCluster', { params: { cluster }, body: change });
  }

  async clusters() {
    return (await this.#api.call('listClusters', {})).clusters;
  }

  /** Every event of a build from its first one, then live until it is finished; reconnects where it was cut. */
  events(id: string, options: FollowOptions = {}) {
    return this.#api.follow('streamEvents', { params: { id } }, ({ event }) => event === 'build-finished', options);
  }

  /** All records of a build, as a `tar.gz`. */
  async *buildArchive(id: string): AsyncGenerator<Buffer> {
    const response = await this.#api.fetch('downloadArchive', { params: { id } });
    for await (const chunk of response.body ?? []) yield Buffer.from(chunk);
  }

  /** The events of a build up to now. */
  pastEvents(id: string) {
    return this.#api.stream('streamEvents', { params: { id }, query: { follow: 'false' } });
  }
}

function reuseQuery({ noCache = false, rebuild = [], only = [] }: BuildOptions) {
  return { noCache: queryFlag(noCache), rebuild: rebuild.join(','), only: only.join(',') };
}
