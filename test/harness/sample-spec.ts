import type { LayerSpec, LayerVm, VmPlan } from '../../common/contracts/layers.ts';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import type { BuiltModule, SubmittedPhase } from '../../common/redis/write-submission.ts';
import { compiledModule, compiledVm } from './module-factory.ts';

/** The little of a module that the farm's state looks at. */
export interface SampleModule {
  readonly name: string;
  readonly layerKey: string;
  readonly layerBuild: string;
  /** @defaultValue one VM */
  readonly vms?: readonly string[];
  readonly parents?: readonly { readonly name: string; readonly layerKey: string }[];
  readonly retries?: number;
  readonly timeoutMs?: number;
  /** @defaultValue layerKey */
  readonly recipeKey?: string;
  readonly cluster?: string;
  /** Sealed, by name. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** A module of blank VMs with one core and 1 GiB each, as the planner would submit it. */
export function sampleModule(sample: SampleModule): BuiltModule {
  const { name, layerKey, layerBuild, parents = [], recipeKey = sample.layerKey, cluster = 'lab' } = sample;
  return {
    action: 'build',
    name,
    layerKey,
    recipeKey,
    why: 'not built before',
    layerBuild,
    cluster,
    namespace: 'slipway',
    priority: 1,
    dependsOn: parents.map((parent) => parent.name),
    parents: parents.map((parent) => parent.layerKey),
    spec: sampleSpec(sample),
    secrets: sample.secrets ?? {},
    phases: samplePhases(sample.vms ?? ['vm']),
  };
}

/** What the snapshot phase of a sample VM hands back. */
export function sampleLayerVm(vm: string, snapshot: string): LayerVm {
  return {
    vm,
    template: `t-${snapshot}`,
    disks: [{ name: 'root', snapshot, sizeBytes: 1024, bus: 'virtio' }],
    firmware: 'bios',
  };
}

function samplePhases(vms: readonly string[]): SubmittedPhase[] {
  return vms.flatMap((vm) =>
    PHASES.map((phase, index): SubmittedPhase => {
      const before = PHASES[index - 1];
      if (phase === 'snapshot')
        return { vm, phase, dependsOn: vms.map((other) => ({ vm: other, phase: 'provision' })) };
      return { vm, phase, dependsOn: before ? [{ vm, phase: before }] : [] };
    }),
  );
}

function sampleSpec({ name, layerKey, vms = ['vm'], retries = 0, timeoutMs = 3_600_000 }: SampleModule): LayerSpec {
  return {
    schema: 1,
    layerKey,
    module: compiledModule({
      name,
      timeoutMs,
      retries,
      origin: { file: 'sample.yaml', line: 1, column: 1 },
      vms: vms.map(sampleVm),
      network: { vpcs: [], subnets: [] },
    }),
    vms: vms.map(sampleVmPlan),
    network: { vpcs: [], subnets: [] },
    fileHashes: {},
    objects: {},
  };
}

function sampleVmPlan(name: string): VmPlan {
  const disk = { name: 'root', sizeBytes: 1024, bus: 'virtio', storageClass: null, origin: { kind: 'blank' } } as const;
  return { name, disks: [disk], isos: [], nics: [], templateNics: [], cpu: 1, memoryBytes: 1024 ** 3 };
}

function sampleVm(name: string): CompiledVm {
  return compiledVm({ name, resources: { cpu: 1, memoryBytes: 1024 ** 3 }, disks: [], nics: [] });
}
