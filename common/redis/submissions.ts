import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { FarmEvent } from '../contracts/events.ts';
import type { LayerSpec } from '../contracts/layers.ts';
import { PRIORITIES, type Priority } from '../contracts/owners.ts';
import { PHASE_NEEDS, type Phase, type PhaseNeeds } from '../contracts/phases.ts';
import { assert, FarmError } from '../errors/farm-error.ts';
import { type BuildModule, readBuildModules, readStoredModules } from './builds.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';
import { advance } from './tasks.ts';

/** A phase of a VM inside its module; `dependsOn` are phases of the same module. */
export interface SubmittedPhase {
  readonly vm: string;
  readonly phase: Phase;
  readonly dependsOn: readonly { readonly vm: string; readonly phase: Phase }[];
}

interface SubmittedBase {
  readonly name: string;
  readonly layerKey: string;
  /** Reason of the action, in a few words. */
  readonly why: string;
  /** Names of modules of the same build. */
  readonly dependsOn: readonly string[];
}

/** A module whose layer is there. */
export interface ReusedModule extends SubmittedBase {
  readonly action: 'reuse';
}

/** A module to build, or to join where the same layer is being built already. */
export interface BuiltModule extends SubmittedBase {
  readonly action: 'build' | 'join';
  readonly recipeKey: string;
  /** ULID for the layer build, if it has to be made. */
  readonly layerBuild: string;
  /** The layer build that failed in a former build, and whose failed phase is run again instead. */
  readonly resumes?: string;
  /** Layers that it starts from: of this build, in layer, or there. */
  readonly parents: readonly string[];
  readonly cluster: string;
  readonly namespace: string;
  /** Length of the critical path behind it; longer goes first. */
  readonly priority: number;
  /** `sshPassword` sealed. */
  readonly spec: LayerSpec;
  /** Sealed values that the spec refers to, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly phases: readonly SubmittedPhase[];
}

export type SubmittedModule = ReusedModule | BuiltModule;

/** The submission; parents before their children. */
export interface BuildSubmission {
  readonly buildId: string;
  /** Belongs to the token. */
  readonly idempotencyKey: string | null;
  /** Hash of the request, to distinguish a repeated request from another one under the same key. */
  readonly digest: string;
  readonly retentionMs: number;
  /** Name of the token that asked for it. */
  readonly submittedBy?: string;
  /** @defaultValue normal */
  readonly priority?: Priority;
  /** How long the machine of a failed step is kept (ms). @defaultValue not at all */
  readonly keepMs?: number;
  /** That it is a clone of this image, `NAME:VERSION`. */
  readonly run?: string;
  /** Steps before which a person is asked for, as `isMeantStep` reads them. */
  readonly pauseBefore?: readonly string[];
  /** Ids of phase jobs, in the names of this build. @defaultValue not computed */
  readonly criticalPath?: readonly string[];
  readonly modules: readonly SubmittedModule[];
}

export type SubmissionReply = Reply<readonly BuildModule[]>;
type WrittenReply = Reply<string>;
type Reply<Modules> =
  /** `existing`: it was already accepted under its key, with these modules. */
  | { readonly outcome: 'accepted' | 'existing'; readonly buildId: string; readonly modules: Modules }
  /** A layer that the plan counted on has come or gone: plan again. */
  | { readonly outcome: 'stale'; readonly layerKey: string };

/** Accepts a build, all or nothing. @throws IdempotencyConflict, RedisUnavailable */
export async function submitBuild(redis: Redis, submission: BuildSubmission): Promise<SubmissionReply> {
  const reply = await sendSubmission(redis, writeSubmission(submission));
  return reply.outcome === 'stale' ? reply : { ...reply, modules: readBuildModules(reply.modules) };
}

/** A submission that is not whole is forgotten after this time: its sender has died. */
const STAGED_MS = 600_000;
/** Modules that are sent at once, of which those after the first have so many characters together. */
const PIECE = 50;
const PIECE_CHARACTERS = 512 * 1024;

/** A submission as `sendSubmission` takes it; of a large one that takes long. */
export function writeSubmission({
  idempotencyKey,
  modules,
  pauseBefore = [],
  criticalPath = [],
  priority = 'normal',
  ...rest
}: BuildSubmission): string[] {
  const header = {
    ...rest,
    pauseBefore: JSON.stringify(pauseBefore),
    urgency: PRIORITIES.indexOf(priority),
    idempotencyKey: idempotencyKey ?? '',
    stagedMs: STAGED_MS,
    count: modules.length,
  };
  const names = modules.map(({ name }) => name);
  const accepted: FarmEvent = { event: 'build-accepted', buildId: rest.buildId, modules: names };
  const texts = modules.flatMap((module) => [
    JSON.stringify(compileModule(module)),
    module.action === 'reuse' ? '' : JSON.stringify(module.spec),
  ]);
  return [JSON.stringify(header), JSON.stringify(accepted), JSON.stringify(criticalPath), ...texts];
}

const sentReply = z.tuple([z.string()], z.union([z.string(), z.number()]));

/**
 * As `submitBuild`; the modules of the reply are as `readBuildModules` takes them. A large submission goes in pieces. From
 * when all of them are there any process makes it a build, also when this one dies.
 */
export async function sendSubmission(redis: Redis, written: readonly string[]): Promise<WrittenReply> {
  const [header = '', accepted = '', criticalPath = '', ...texts] = written;
  for (let sent = 0; ; ) {
    const once = sent === 0 ? [accepted, criticalPath] : ['', ''];
    const args = [header, ...once, sent, ...pieceAt(texts, 2 * sent)];
    const [outcome, about = ''] = sentReply.parse(await runScript(redis, 'submit', args));
    const first = String(about);
    switch (outcome) {
      case 'staged':
        sent = Number(about);
        break;
      case 'submitting':
        await advance(redis);
        break;
      case 'accepted':
      case 'existing':
        await untilReplicated(redis);
        return { outcome, buildId: first, modules: await readStoredModules(redis, first) };
      case 'stale':
        return { outcome, layerKey: first };
      default:
        throw keyTaken();
    }
  }
}

/** A module and its specification, in turns. */
function pieceAt(texts: readonly string[], from: number): readonly string[] {
  let to = from;
  let characters = 0;
  do {
    characters += (texts[to]?.length ?? 0) + (texts[to + 1]?.length ?? 0);
    to += 2;
  } while (to < from + 2 * PIECE && characters < PIECE_CHARACTERS);
  return texts.slice(from, to);
}

/** A replica that is further behind delays no submission. */
const REPLICATED_MS = 1_000;

/** Where the server has replicas, waits until one of them has what was written: a failover does not lose what was accepted. */
async function untilReplicated(redis: Redis): Promise<void> {
  const replication = await readRedis(redis.info('replication'));
  if (!/^connected_slaves:0\b/m.test(replication)) await readRedis(redis.wait(1, REPLICATED_MS));
}

/**
 * The build that the same request began under a key of the same token, and its modules as `readBuildModules` takes them; null
 * when the key was not used before. @throws IdempotencyConflict when another request did, RedisUnavailable
 */
export async function findSubmission(
  redis: Redis,
  { submittedBy, idempotencyKey, digest }: Omit<BuildSubmission, 'buildId' | 'retentionMs' | 'modules'>,
): Promise<{ readonly buildId: string; readonly modules: string } | null> {
  if (idempotencyKey === null) return null;
  const used = await readRedis(redis.get(KEYS.idempotency(submittedBy ?? '', idempotencyKey)));
  if (used === null) return null;
  const [former, buildId = ''] = used.split(' ');
  if (former !== digest) throw keyTaken();
  // One that is not accepted yet is found when this one is sent.
  if ((await readRedis(redis.hexists(KEYS.build(buildId), 'state'))) === 0) return null;
  return { buildId, modules: await readStoredModules(redis, buildId) };
}

function keyTaken(): FarmError {
  return new FarmError('IdempotencyConflict', 'The token has used this Idempotency-Key for another request.');
}

/** Cancels a build. False when it had finished. @throws NotFound, RedisUnavailable */
export async function cancelBuild(redis: Redis, buildId: string): Promise<boolean> {
  const reply = await runScript(redis, 'cancel-build', [buildId, randomUUID()]);
  if (reply === 'unknown') throw new FarmError('NotFound', `Build "${buildId}" not found.`);
  await advance(redis);
  return reply === 'cancelled';
}

function compileModule(module: SubmittedModule): unknown {
  const base = {
    name: module.name,
    action: module.action,
    layerKey: module.layerKey,
    why: module.why,
    dependsOn: module.dependsOn.join(' '),
  };
  if (module.action === 'reuse') return base;
  const { spec } = module;
  return {
    ...base,
    recipeKey: module.recipeKey,
    layerBuild: module.layerBuild,
    resumes: module.resumes,
    parents: [...new Set(module.parents)],
    cluster: module.cluster,
    namespace: module.namespace,
    labels: JSON.stringify(spec.module.labels),
    priority: module.priority,
    secrets: module.secrets,
    retries: spec.module.retries,
    timeoutMs: spec.module.timeoutMs,
    runMs: spec.module.run?.ttlMs ?? 0,
    vms: spec.vms.map((vm) => ({ vm: vm.name, cpu: Math.ceil(vm.cpu * 1000), memory: vm.memoryBytes })),
    phases: compilePhases(module),
  };
}

/** In-degrees and dependents, so that a commit changes only its neighbours. */
function compilePhases({ phases, name, spec }: BuiltModule): unknown[] {
  // The last dependency of a clone's provision phase is never met: the machines are left to people.
  const isRun = spec.module.run !== undefined;
  const held = (phase: Phase) => Number(isRun && phase === 'provision');
  const needsOf = (phase: Phase): PhaseNeeds => {
    const needs = PHASE_NEEDS[phase];
    return isRun && needs.admission === 'gang' ? { ...needs, stage: 'runs' } : needs;
  };
  const field = ({ vm, phase }: { vm: string; phase: Phase }) => `${vm}/${phase}`;
  const dependents = new Map<string, string[]>(phases.map((phase) => [field(phase), []]));
  for (const phase of phases) {
    for (const dependency of phase.dependsOn) {
      const list = dependents.get(field(dependency));
      assert(list, `Module ${name}: ${field(phase)} waits for ${field(dependency)}, which is not a phase of it.`);
      list.push(field(phase));
    }
  }
  const ending = new Set(phases.flatMap(({ vm, phase }) => (PHASE_NEEDS[phase].last ? [vm] : [])));
  assert(ending.size === spec.vms.length, `Module ${name} has VMs without their last phase.`);
  return phases.map((phase) => ({
    field: field(phase),
    needs: phase.dependsOn.length + held(phase.phase),
    ...needsOf(phase.phase),
    dependents: (dependents.get(field(phase)) ?? []).join(' '),
  }));
}
