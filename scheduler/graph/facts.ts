import type { LayerDisk, LayerRecord, SourceKey } from '../../common/contracts/layers.ts';
import type { CompiledModule, Firmware, NicModel } from '../../common/contracts/module/compiled.ts';
import type { Checksum, ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import type { Location } from '../../common/contracts/module/location.ts';
import { partPath, placeOf } from '../../common/contracts/module/places.ts';
import { objectKeyName, objectKeysOf } from '../../common/contracts/object-content.ts';
import { own } from '../../common/contracts/own.ts';
import { IMAGE_PREFIX } from '../../common/contracts/source-validator.ts';

/** The resolved identity of a source without a checksum. */
export interface SourceFact {
  /**
   * Content key, e.g. a hash of URL and validator, or the digest of a container image. Null: it is unknown whether the
   * content is still the same, so layers made from it are not reused.
   */
  readonly identity: string | null;
}

/** Contents of the modules as they were resolved before planning. A content without an entry counts as unresolved. */
export interface Facts {
  /** By URL of a disk image or ISO, or reference of a container image. */
  readonly sources: Readonly<Record<string, SourceFact>>;
  /** SHA-256 of the fetched content, by URL of a file; null when unknown. */
  readonly files: Readonly<Record<string, string | null>>;
  /** Content key of each key of a ConfigMap or Secret, by `objectKeyName`; null when it is not known. */
  readonly objects: Readonly<Record<string, string | null>>;
  /** Keyed hash (HMAC) of the value, by name of a secret. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** Description of the layer that a module starts from. */
export interface OfferedLayer {
  readonly layerKey: string;
  readonly vms: readonly {
    readonly vm: string;
    readonly firmware: Firmware['kind'];
    /** Sizes are 0 where they are only known when the layer is there. */
    readonly disks: readonly Pick<LayerDisk, 'name' | 'sizeBytes' | 'bus'>[];
    readonly nicModels?: readonly NicModel[] | undefined;
  }[];
}

/** The layers that exist at the moment of planning, on any cluster of the farm, and those on their way. */
export interface Catalog {
  /** By layerKey; only those whose snapshots exist. */
  readonly layers: Readonly<Record<string, LayerRecord>>;
  /** layerKey of the newest succeeded version of a module, by the module's name. */
  readonly newest: Readonly<Record<string, string>>;
  /** layerKeys by `<module>:<version>` and `<module>@<tag>`. */
  readonly images: Readonly<Record<string, string>>;
  /** Running layer builds of other submissions, by module name: a module that was never built before is waited for. */
  readonly unfinished: Readonly<Record<string, OfferedLayer>>;
  /** The layerKeys being built now, and whether some of the layer build has been done. */
  readonly building: ReadonlyMap<string, { readonly isBegun: boolean }>;
  /** When it was read (ms since the Unix epoch): ages count until then. */
  readonly now: number;
}

/** The catalog of no farm: everything is to be built. */
export const EMPTY_CATALOG: Catalog = {
  layers: {},
  newest: {},
  images: {},
  unfinished: {},
  building: new Map(),
  now: 0,
};

/** Contents that no checksum pins, to be resolved before planning. No duplicates. */
export interface UnresolvedContents {
  /** Disk images and ISOs. */
  readonly sources: readonly Location[];
  /** References of container images. */
  readonly images: readonly string[];
  /** Their hashes are needed in `LayerSpec.fileHashes` even where a checksum is given. */
  readonly files: readonly Location[];
  /** Keys of ConfigMaps and Secrets; optional where every reference to it is. */
  readonly objects: readonly ObjectKeyRef[];
  /** The first module that wants each of them, and where, by URL, reference or `objectKeyName`: there it is refused. */
  readonly requestedBy: Readonly<Record<string, Pick<CompiledModule, 'name' | 'origin'>>>;
}

/** Finds every content that the modules themselves do not pin. */
export function unresolvedContents(modules: readonly CompiledModule[]): UnresolvedContents {
  const sources = new Locations();
  const images = new Set<string>();
  const files = new Locations();
  const objects = new Map<string, ObjectKeyRef>();
  const requestedBy = new Map<string, Pick<CompiledModule, 'name' | 'origin'>>();
  for (const module of modules) {
    const want = (what: string, part: string) => {
      if (!requestedBy.has(what)) requestedBy.set(what, { name: module.name, origin: placeOf(module, part) });
    };
    const add = (to: Locations, location: Location, part: string) => {
      to.add(location);
      want(location.url, part);
    };
    for (const { name, source, isos } of module.vms) {
      const at = partPath('vms', name, 'source');
      if (source.kind === 'url' && !source.checksum) add(sources, source, at);
      if (source.kind === 'containerDisk' && !pinnedDigest(source.image)) {
        images.add(source.image);
        want(source.image, at);
      }
      for (const [index, iso] of isos.entries()) {
        if (!iso.checksum) add(sources, iso, partPath('vms', name, 'isos', index));
      }
    }
    for (const file of module.files) if (file.kind === 'url') add(files, file, partPath('files', file.name));
    for (const { vm, ref } of module.vms.flatMap((vm) => objectKeysOf(vm).map((ref) => ({ vm: vm.name, ref })))) {
      const key = objectKeyName(ref);
      objects.set(key, { ...ref, optional: ref.optional && (objects.get(key)?.optional ?? true) });
      want(key, partPath('vms', vm));
    }
  }
  return {
    ...{ sources: sources.all, images: [...images], files: files.all, objects: [...objects.values()] },
    requestedBy: Object.fromEntries(requestedBy),
  };
}

/** One entry per URL, with credentials if any module gives some. */
class Locations {
  readonly #byUrl = new Map<string, Location>();

  add({ url, credentials }: Location): void {
    if (credentials || !this.#byUrl.has(url)) this.#byUrl.set(url, { url, credentials });
  }

  get all(): readonly Location[] {
    return [...this.#byUrl.values()];
  }
}

/** The facts offline: a source without a checksum stays unresolved, and the layers made from it provisional. */
export function offlineFacts(modules: readonly CompiledModule[]): Facts {
  const { sources, images, files, objects } = unresolvedContents(modules);
  const names = [...sources.map(({ url }) => url), ...images];
  return {
    sources: Object.fromEntries(names.map((source) => [source, { identity: null }])),
    files: Object.fromEntries(files.map(({ url }) => [url, null])),
    objects: Object.fromEntries(objects.map((ref) => [objectKeyName(ref), null])),
    secrets: {},
  };
}

/** A content key, and whether it may change under the same name. */
export interface ContentIdentity {
  readonly identity: string;
  readonly provisional: boolean;
}

/** The resolved hash of a key of a ConfigMap or Secret, else its name as provisional. */
export function objectIdentity(ref: Pick<ObjectKeyRef, 'kind' | 'name' | 'key'>, facts: Facts): ContentIdentity {
  const name = objectKeyName(ref);
  const identity = own(facts.objects, name) ?? null;
  return identity === null ? { identity: name, provisional: true } : { identity, provisional: false };
}

/** `<algorithm>:<hex>` where a checksum is given, else the resolved identity, else `url:<url>` as provisional. */
export function sourceIdentity(url: string, checksum: Checksum | null, facts: Facts): ContentIdentity {
  return identityOf(url, checksum, own(facts.sources, url)?.identity);
}

/** The digest that the reference itself names, else the resolved one, else the reference as provisional. */
export function imageIdentity(image: string, facts: Facts): ContentIdentity {
  const digest = pinnedDigest(image);
  return identityOf(image, null, digest ? `${IMAGE_PREFIX}${digest}` : own(facts.sources, image)?.identity);
}

/** Always provisional: machines write to volumes, and no field of a claim changes with its content. */
export function claimIdentity({ name, namespace }: { name: string; namespace: string | null }): ContentIdentity {
  return { identity: `claim:${namespace ?? ''}/${name}`, provisional: true };
}

/** The digest of a reference that names one. */
function pinnedDigest(image: string): string | undefined {
  return /@(sha256:[0-9a-f]{64})$/.exec(image)?.[1];
}

/** As `sourceIdentity`, for a file, whose fact is a SHA-256. */
export function fileIdentity(url: string, checksum: Checksum | null, facts: Facts): ContentIdentity {
  const hash = own(facts.files, url);
  return identityOf(url, checksum, hash ? `sha256:${hash}` : null);
}

/** The key under which an import may be shared. */
export function sourceKey({ identity, provisional }: ContentIdentity): SourceKey {
  return provisional ? null : identity;
}

function identityOf(url: string, checksum: Checksum | null, fact: string | null | undefined): ContentIdentity {
  if (checksum) return { identity: `${checksum.algorithm}:${checksum.hex}`, provisional: false };
  return fact ? { identity: fact, provisional: false } : { identity: `url:${url}`, provisional: true };
}
