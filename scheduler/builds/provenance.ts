import { farmEventSchema } from '../../common/contracts/events.ts';
import type { ImageName } from '../../common/contracts/images.ts';
import { type DiskOrigin, isChangedByHand, type LayerRecord } from '../../common/contracts/layers.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Checksum } from '../../common/contracts/module/contents.ts';
import { secretNames, writtenText } from '../../common/contracts/module/secret-text.ts';
import type { Step } from '../../common/contracts/module/step-types.ts';
import type { Dependency, Provenance, StepRun } from '../../common/contracts/provenance.ts';
import { IMAGE_PREFIX } from '../../common/contracts/source-validator.ts';
import { attemptPlace } from '../../common/redis/handbuilds.ts';
import type { StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { changeSecrets } from '../planning/seal-modules.ts';

/** Input of an image's provenance. */
export interface ProvenanceSources {
  readonly image: ImageName;
  readonly record: LayerRecord;
  /** Names of the layers that it was started from, as far as they are there. */
  readonly parents: readonly ImageName[];
  /** The layer build that made it; null when the farm has forgotten it. */
  readonly stored: StoredLayerBuild | null;
  /** Version of the farm's program. */
  readonly version: string;
}

/** An in-toto statement with SLSA provenance (v1) about the disks of an image. Of secrets there are names only. */
export function provenanceOf(sources: ProvenanceSources): Provenance {
  const { image, record } = sources;
  const { module, version, layerKey } = image;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: record.vms.flatMap(({ vm, disks }) =>
      disks.map(({ name, snapshot }) => ({
        name: `${module}:${version}/${vm}/${name}`,
        digest: { slipwayLayer: layerKey },
        annotations: { cluster: record.cluster, namespace: record.namespace, snapshot },
      })),
    ),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: { buildDefinition: buildDefinition(sources), runDetails: runDetails(sources) },
  };
}

type Predicate = Provenance['predicate'];

/** What the image was made from. */
function buildDefinition({ image, record, parents, stored }: ProvenanceSources): Predicate['buildDefinition'] {
  return {
    buildType: 'https://slipway.dev/layer/v1',
    externalParameters: {
      module: image.module,
      definition: stored ? writtenModule(stored.spec.module) : null,
    },
    internalParameters: {
      recipeKey: record.recipeKey,
      cluster: record.cluster,
      vms: stored?.spec.vms ?? [],
      network: stored?.spec.network ?? null,
    },
    resolvedDependencies: [
      ...record.parents.map((key) => parentDependency(key, parents)),
      ...(stored ? sourceDependencies(stored) : []),
    ],
  };
}

/** Who made the image, when, and by which steps. */
function runDetails({ image, record, stored, version }: ProvenanceSources): Predicate['runDetails'] {
  const times = [...(stored?.phases.values() ?? [])];
  const startedAt = Math.min(...times.flatMap(({ startedAt: at }) => at ?? []));
  return {
    builder: { id: 'https://slipway.dev/farm', version: { slipway: version } },
    metadata: {
      invocationId: `${record.layerBuild}/${record.generation}`,
      ...(Number.isFinite(startedAt) ? { startedOn: new Date(startedAt).toISOString() } : {}),
      finishedOn: record.createdAt,
    },
    slipway_by: image.by,
    slipway_changedByHand: isChangedByHand(record),
    slipway_steps: stored ? stepRuns(stored) : [],
  };
}

/** As its author wrote it where it refers to secrets; passwords in the file itself are `***`. */
function writtenModule(module: CompiledModule): unknown {
  return JSON.parse(
    writtenText(JSON.stringify(changeSecrets(module, (sealed) => (secretNames(sealed).length > 0 ? sealed : '***')))),
  );
}

function parentDependency(key: string, parents: readonly ImageName[]): Dependency {
  const name = parents.find(({ layerKey }) => layerKey === key);
  return { uri: `slipway:${name ? `${name.module}:${name.version}` : key}`, digest: { slipwayLayer: key } };
}

/** Each source once, with the digest that pins it: its checksum, or the digest that the farm resolved. */
function sourceDependencies({ spec }: StoredLayerBuild): Dependency[] {
  const origins = spec.vms.flatMap(({ disks, isos }) => [
    ...disks.map(({ origin }) => origin),
    ...isos.map((iso): DiskOrigin => ({ kind: 'url', ...iso })),
  ]);
  const found = [
    ...origins.flatMap(originDependency),
    ...Object.entries(spec.fileHashes).map(([uri, sha256]): Dependency => ({ uri, digest: { sha256 } })),
    ...Object.entries(spec.objects).map(([uri, key]): Dependency => ({ uri, digest: { slipwayContent: key } })),
  ];
  return [...new Map(found.map((dependency) => [dependency.uri, dependency])).values()];
}

function originDependency(origin: DiskOrigin): Dependency[] {
  if (origin.kind === 'url') return [{ uri: origin.url, digest: urlDigest(origin.checksum, origin.identity) }];
  if (origin.kind === 'image') {
    const [, sha256] = (origin.identity?.slice(IMAGE_PREFIX.length) ?? '').split('sha256:');
    return [{ uri: `docker://${origin.image}`, digest: sha256 === undefined ? {} : { sha256 } }];
  }
  return origin.kind === 'claim' ? [{ uri: `claim:${origin.namespace ?? ''}/${origin.name}`, digest: {} }] : [];
}

function urlDigest(checksum: Checksum | null, identity: string | null): Dependency['digest'] {
  if (checksum) return { [checksum.algorithm]: checksum.hex };
  return identity === null ? {} : { slipwayContent: identity };
}

/** Every run of every step, in the order of machines, steps and attempts. */
function stepRuns({ spec, steps }: StoredLayerBuild): StepRun[] {
  return spec.module.vms.flatMap((vm) =>
    vm.steps.flatMap((step, index) => runsOf(steps, { vm: vm.name, index, step })),
  );
}

interface StepOfVm {
  readonly vm: string;
  readonly index: number;
  readonly step: Step;
}

function runsOf(steps: StoredLayerBuild['steps'], { vm, index, step: { name, type } }: StepOfVm): StepRun[] {
  const runs: StepRun[] = [];
  for (let attempt = 0; ; attempt += 1) {
    const place = `${vm}/${attemptPlace(index, attempt)}`;
    const started = steps.get(`${place}/step-started`);
    if (!started) return runs;
    const finished = steps.get(`${place}/step-finished`);
    const event = finished && farmEventSchema.parse(finished.event);
    runs.push({
      ...{ vm, step: index, name, type, attempt },
      startedOn: new Date(started.at).toISOString(),
      finishedOn: finished ? new Date(finished.at).toISOString() : null,
      outcome: event?.event === 'step-finished' ? event.outcome : null,
    });
  }
}
