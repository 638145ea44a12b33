import type { IncomingMessage } from 'node:http';
import { type Clock, systemClock } from '../clock/clock.ts';
import type { ClusterConfig } from '../config/schema.ts';
import { LABELS } from '../contracts/object-keys.ts';
import { FarmError, wrapError } from '../errors/farm-error.ts';
import { ApiError, isNotFound } from './api-error.ts';
import { loadKubeConfig } from './kube-config.ts';
import type { KubernetesObject } from './objects.ts';
import { labelSelector, type Resource, resourcePath } from './resources.ts';
import { withRetry } from './retry.ts';
import { type ApiRequest, ApiTransport } from './transport.ts';

/** Called on errors of the API, for metrics. `code` is the HTTP status, or 0 without an answer. */
export interface ClusterObserver {
  apiError?(cluster: string, code: number): void;
  watchRestarted?(cluster: string, plural: string, why: 'expired' | 'error'): void;
  /** A warning of the server about a request that it accepted. */
  warning?(cluster: string, text: string): void;
}

export interface ClusterClientOptions {
  readonly clock?: Clock;
  readonly observer?: ClusterObserver;
  readonly random?: () => number;
  /** How the process names itself to the server (`userAgent(role)`). */
  readonly userAgent?: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** @defaultValue the farm namespace of the cluster */
  readonly namespace?: string;
}

export interface ListOptions extends CallOptions {
  /** Equality pairs, or a selector text. */
  readonly labels?: Readonly<Record<string, string>> | string;
  /** A field selector; custom resources know `metadata.name` only. */
  readonly fields?: string;
  /** False: a single call without retries. @defaultValue true */
  readonly retry?: boolean;
}

export interface ObjectList<T> {
  readonly items: T[];
  /** The point from which to watch. */
  readonly resourceVersion: string;
}

export interface DeleteOptions extends CallOptions {
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  readonly gracePeriodSeconds?: number;
  /** Deletes this very object only; a namesake is a conflict. */
  readonly uid?: string;
}

const PAGE_SIZE = 500;
/** A field that the cluster does not know is an error: dropped, it would make another object than was planned. */
const STRICT = { fieldValidation: 'Strict' } as const;
const ATTEMPTS = 6;

/**
 * One cluster: typed access to its objects, with one retry policy. Calls throw ApiError when the API refuses the
 * request, FarmError `ClusterUnavailable` when it cannot be reached even after retries, `ClusterUnfit` without the right.
 */
export class ClusterClient {
  readonly name: string;
  /** The farm namespace. */
  readonly namespace: string;
  readonly transport: ApiTransport;
  readonly clock: Clock;
  readonly observer: ClusterObserver;
  readonly random: () => number;

  constructor(config: ClusterConfig, options: ClusterClientOptions = {}) {
    this.name = config.name;
    this.namespace = config.namespace;
    this.transport = new ApiTransport(loadKubeConfig(config), options.userAgent);
    this.clock = options.clock ?? systemClock;
    this.observer = options.observer ?? {};
    this.transport.onWarning = (text) => this.observer.warning?.(config.name, text);
    this.random = options.random ?? Math.random;
  }

  /** Undefined without one. */
  async get<T extends KubernetesObject>(
    resource: Resource<T>,
    name: string,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.#json<T>({ method: 'GET', path: this.path(resource, name, options) }, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** All objects, page by page; the version is that of the first page's snapshot. */
  async list<T extends KubernetesObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page: ListPage<T> = await this.#json<ListPage<T>>(
        {
          method: 'GET',
          path: this.path(resource, undefined, options),
          query: { ...selectors(options), limit: PAGE_SIZE, continue: next },
        },
        options,
      );
      // Items of a list carry no type of their own.
      for (const item of page.items) items.push({ ...item, apiVersion: resource.apiVersion, kind: resource.kind });
      next = page.metadata?.continue || undefined;
      if (!next) return { items, resourceVersion: page.metadata?.resourceVersion ?? '' };
    }
  }

  /** @throws ApiError `AlreadyExists` when the name is taken. */
  create<T extends KubernetesObject>(resource: Resource<T>, object: T, options: CallOptions = {}): Promise<T> {
    const body = { ...object, apiVersion: resource.apiVersion, kind: resource.kind };
    const path = this.path(resource, undefined, options);
    return this.#json({ method: 'POST', path, query: STRICT, body }, options);
  }

  /**
   * Creates the object unless one of its name is there; the first creator wins, and all callers get its object.
   * @throws ApiError `AlreadyExists` when the name belongs to something else: another role, layer build or farm.
   */
  async createIfAbsent<T extends KubernetesObject>(
    resource: Resource<T>,
    object: T,
    options: CallOptions = {},
  ): Promise<T> {
    const name = object.metadata?.name ?? '';
    try {
      return await this.create(resource, object, options);
    } catch (error) {
      // Not only as AlreadyExists: admission comes first. A quota counts the winner; CDI sees the winner's claim.
      const isRefused = error instanceof ApiError || (error instanceof FarmError && error.code === 'NoCapacity');
      const winner = isRefused ? await this.get(resource, name, options) : undefined;
      if (!winner) throw error;
      assertSame(object, winner);
      return winner;
    }
  }

  /** JSON merge patch (RFC 7386): lists are replaced whole, null removes. */
  async mergePatch<T extends KubernetesObject>(
    resource: Resource<T>,
    name: string,
    patch: object,
    options: CallOptions = {},
  ): Promise<T> {
    const path = this.path(resource, name, options);
    const contentType = 'application/merge-patch+json';
    return this.#json({ method: 'PATCH', path, query: STRICT, body: patch, contentType }, options);
  }

  /** False when there was none. The object may live on until its finalizers are done. */
  async delete(resource: Resource, name: string, options: DeleteOptions = {}): Promise<boolean> {
    const { propagationPolicy = 'Background', gracePeriodSeconds, uid } = options;
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy,
      ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    };
    try {
      await this.call({ method: 'DELETE', path: this.path(resource, name, options), body }, options);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** The body of any call, repeated while the cluster is unavailable (once only with `retry` false). */
  async call(
    request: ApiRequest,
    { signal, retry = true }: { readonly signal?: AbortSignal; readonly retry?: boolean } = {},
  ): Promise<Buffer> {
    const once = () => this.observed(() => this.transport.fetch({ ...request, ...(signal ? { signal } : {}) }));
    const { clock, random } = this;
    return withRetry(once, { clock, random, attempts: retry ? ATTEMPTS : 1, ...(signal ? { signal } : {}) });
  }

  /** A streaming answer, not repeated. */
  stream(request: ApiRequest): Promise<IncomingMessage> {
    return this.observed(() => this.transport.send(request));
  }

  path(resource: Resource, name: string | undefined, options: CallOptions): string {
    return resourcePath(resource, options.namespace ?? this.namespace, name);
  }

  async observed<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof ApiError) this.observer.apiError?.(this.name, error.status);
      else if (error instanceof FarmError) this.observer.apiError?.(this.name, Number(error.details['status'] ?? 0));
      throw error;
    }
  }

  async #json<T>(request: ApiRequest, options: { signal?: AbortSignal; retry?: boolean }): Promise<T> {
    const body = await this.call(request, options);
    try {
      return JSON.parse(body.toString()) as T;
    } catch (error) {
      throw wrapError(error, `Reading the answer of ${request.method} ${request.path}`, 'ClusterUnavailable');
    }
  }
}

interface ListPage<T> {
  readonly items: T[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** The selectors of a list or watch as query parameters. */
export function selectors({ labels, fields }: ListOptions): Record<string, string | undefined> {
  return { labelSelector: typeof labels === 'object' ? labelSelector(labels) : labels, fieldSelector: fields };
}

/** An adopted object carries all labels of the farm that it would have been created with. */
function assertSame(expected: KubernetesObject, { kind, metadata }: KubernetesObject): void {
  for (const label of Object.values(LABELS)) {
    const value = expected.metadata?.labels?.[label];
    const found = metadata?.labels?.[label];
    if (value === undefined || value === found) continue;
    const theirs = found === undefined ? 'it has no such label' : `it has "${found}"`;
    const belongs = `belongs to something else: its label ${label} would be "${value}", ${theirs}`;
    throw new ApiError(409, 'AlreadyExists', `${kind} "${metadata?.name}" ${belongs}. Delete it or rename it.`);
  }
}
