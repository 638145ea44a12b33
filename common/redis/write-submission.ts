import type { FarmEvent } from '../contracts/events.ts';
import type { LayerSpec } from '../contracts/layers.ts';
import { PRIORITIES, type Priority } from '../contracts/owners.ts';
import { PHASE_NEEDS, type Phase, type PhaseNeeds } from '../contracts/phases.ts';
import { assert } from '../errors/farm-error.ts';

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
  /** Layers that it starts from: of this build, being built, or finished. */
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

/** A submission that is not whole is forgotten after this time: its sender has died. */
const STAGED_MS = 600_000;

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
