import type { Limits } from '../../common/contracts/builds.ts';
import type { Labels } from '../../common/contracts/cluster-control.ts';
import type { Action } from '../../common/contracts/events.ts';
import type { StorageRoom } from '../../common/contracts/storage.ts';
import type { StoredCatalog } from '../../common/redis/layers.ts';
import type { BuildSubmission, BuiltModule } from '../../common/redis/write-submission.ts';
import type { Facts } from '../graph/facts.ts';
import type { NetworkOffer } from '../graph/network-offers.ts';
import type { PackedModules } from './read-modules.ts';

/** JSON that only planning threads read and write. */
export type JsonBytes = Uint8Array;

/** Modules to plan, and all that is known about them. */
export interface PlanTask {
  /** Whether the farm keeps files: local ones, and those that layers are copied by between clusters. */
  readonly hasBlobs: boolean;
  readonly modules: PackedModules;
  readonly facts: Facts;
  readonly catalog: StoredCatalog;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** As in `GraphInput`. */
  readonly nonce: string;
  readonly clusters: readonly PlanCluster[];
}

/** A cluster as it is at the moment. */
export interface PlanCluster {
  readonly name: string;
  readonly namespace: string;
  readonly limits: Limits;
  /** Virtual machines that exist. */
  readonly vms: number;
  readonly healthy: boolean;
  readonly labels: Labels;
  /** Why it takes no new modules, half a sentence; null: it does. */
  readonly closed: string | null;
  /** Features of its network; null while unknown. */
  readonly network: NetworkOffer | null;
  /** Its free storage for new volumes; null while it is not known. */
  readonly storage: StorageRoom | null;
  /** Where the cluster and its workers read local files; null: nowhere. */
  readonly blobsUrl: string | null;
}

/** Modules to plan and to submit. */
export interface BuildTask extends PlanTask {
  /** The values that the modules' secrets have, sealed, by name. */
  readonly sealed: Readonly<Record<string, string>>;
  readonly build: Omit<BuildSubmission, 'modules'>;
  /** Of modules that failed in another build: the layer builds of now, by name. */
  readonly retried?: Readonly<Record<string, Pick<BuiltModule, 'why' | 'resumes'>>>;
}

/** A plan that can be submitted. */
export interface PlannedBuild {
  readonly plan: JsonBytes;
  /** Input of `sendSubmission`. */
  readonly submission: readonly string[];
  /** Local files of the layers to build; reused layers need none. */
  readonly files: readonly NeededFile[];
}

/** Its path is null if the request does not name it. */
export interface NeededFile {
  readonly sha256: string;
  readonly path: string | null;
}

/** Result of a submission. */
export interface SubmittedTask {
  readonly buildId: string;
  /** Null where the same request was accepted before. */
  readonly plan: JsonBytes | null;
  /** The modules as the farm's state has them. */
  readonly modules: string;
}

/** The answer to a submission, with log fields. */
export interface AcceptedBuild {
  readonly buildId: string;
  /** `{buildId, plan}` */
  readonly answer: JsonBytes;
  /** Names. */
  readonly modules: readonly string[];
  /** Layers by action; empty without a submission. */
  readonly actions: Readonly<Partial<Record<Action, number>>>;
}

/** Writes JSON for another thread. */
export function writeJson(value: unknown): JsonBytes {
  return Buffer.from(JSON.stringify(value));
}

/** Reads JSON of another thread. */
export function readJson<T>(bytes: JsonBytes): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T;
}
