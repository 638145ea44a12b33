import { isDeepStrictEqual } from 'node:util';
import { parseQuantity } from '../../../common/text/quantity.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject, keyOf } from '../objects.ts';
import type { KindAdmission } from './admission.ts';
import { Causes } from './causes.ts';

const WEBHOOK = 'datavolume-validate.cdi.kubevirt.io';
const CHECKSUM_DIGITS: Readonly<Record<string, number>> = { md5: 32, sha1: 40, sha256: 64, sha512: 128 };
const ADOPTION = 'cdi.kubevirt.io/allowClaimAdoption';
/** KubeVirt takes no smaller disk. */
const LEAST_BYTES = 2 ** 20;
/** Sources whose size can be taken from the cloned object. */
const SIZED_SOURCES = new Set(['pvc', 'snapshot']);

/** Checks of CDI's webhook for DataVolumes. */
export const dataVolumeAdmission: KindAdmission = {
  validate: ({ object, previous, operation, subresource, store }) => {
    if (operation === 'DELETE' || subresource !== undefined) return;
    const causes = new Causes();
    if (previous) {
      if (!isDeepStrictEqual(fixedSpec(object), fixedSpec(previous))) {
        causes.add('spec', 'Cannot update DataVolume Spec');
      }
      causes.refuseAs(WEBHOOK);
      return;
    }
    checkDataVolumeSpec(object.spec ?? {}, 'spec', causes);
    const mayAdopt = object.metadata.annotations?.[ADOPTION] === 'true';
    if (!mayAdopt && store.get('PersistentVolumeClaim', keyOf(object))) {
      const { namespace, name } = object.metadata;
      causes.add('name', `Destination PVC ${namespace}/${name} already exists`);
    }
    causes.refuseAs(WEBHOOK);
  },
};

/** All of the spec but the checkpoints of a multi-stage import. */
function fixedSpec({ spec = {} }: KubeObject): JsonObject {
  const { checkpoints: _, finalCheckpoint: __, ...rest } = spec;
  return rest;
}

/** Checks the spec of a DataVolume, or of a template for one in a VirtualMachine. */
export function checkDataVolumeSpec(spec: JsonObject, field: string, causes: Causes): void {
  const source = spec['source'];
  const names = isJsonObject(source) ? Object.keys(source) : [];
  if ((source === undefined) === (spec['sourceRef'] === undefined)) {
    causes.add(`${field}.source`, 'Data volume should have either Source or SourceRef, or be externally populated');
  } else if (source === undefined) checkReference(spec['sourceRef'], `${field}.sourceRef`, causes);
  else if (names.length === 0) causes.require(`${field}.source`, 'Missing Data volume source');
  else if (names.length > 1) causes.add(`${field}.source`, 'Multiple data volume sources');
  checkHttp(fieldAt(source, 'http'), `${field}.source.http`, causes);
  checkRegistry(fieldAt(source, 'registry'), `${field}.source.registry`, causes);
  checkOrigin(fieldAt(source, 'pvc'), { field: `${field}.source.PVC`, word: 'PVC' }, causes);
  checkOrigin(fieldAt(source, 'snapshot'), { field: `${field}.source.Snapshot`, word: 'snapshot' }, causes);
  checkStorage(spec, { field, sourceName: names[0] }, causes);
  const { contentType } = spec;
  if (contentType !== undefined && contentType !== '' && contentType !== 'kubevirt' && contentType !== 'archive') {
    causes.add(`${field}.contentType`, `ContentType not one of: kubevirt, archive`);
  }
}

function checkReference(reference: unknown, field: string, causes: Causes): void {
  const { kind, name } = isJsonObject(reference) ? reference : {};
  if (!kind) causes.add(`${field}.Kind`, 'Missing sourceRef kind');
  else if (kind !== 'DataSource') {
    causes.add(`${field}.Kind`, `Unsupported sourceRef kind ${String(kind)}, currently only DataSource is supported`);
  } else if (!name) causes.add(`${field}.Name`, 'Missing sourceRef name');
}

function checkHttp(http: unknown, field: string, causes: Causes): void {
  if (!isJsonObject(http)) return;
  const url = String(http['url'] ?? '');
  if (url === '') causes.require(`${field}.url`, 'Data volume source URL is empty');
  else if (!/^https?:\/\/[^/]+/.test(url)) causes.add(`${field}.url`, `Invalid data source URL: ${url}`);
  const { checksum } = http;
  if (checksum === undefined || checksum === '') return;
  const [, algorithm = '', digest = ''] = /^([a-z0-9]+):([0-9a-fA-F]+)$/.exec(String(checksum)) ?? [];
  if (CHECKSUM_DIGITS[algorithm] !== digest.length || digest === '') {
    causes.add(
      `${field}.checksum`,
      `invalid checksum "${String(checksum)}": the form is algorithm:hex with md5, sha1, sha256 or sha512`,
    );
  }
}

function checkOrigin(origin: unknown, { field, word }: { field: string; word: string }, causes: Causes): void {
  if (!isJsonObject(origin) || (origin['namespace'] && origin['name'])) return;
  causes.add(field, `${field} source ${word} is not valid`);
}

function checkRegistry(registry: unknown, field: string, causes: Causes): void {
  if (!isJsonObject(registry)) return;
  const { url, imageStream, pullMethod } = registry;
  if ((url === undefined) === (imageStream === undefined)) {
    causes.add(field, 'Source registry should have either URL or ImageStream');
  }
  if (url !== undefined && !/^(docker|oci-archive):\/\/./.test(String(url))) {
    causes.add(`${field}.url`, `Invalid data source URL: ${String(url)}`);
  }
  if (pullMethod !== undefined && pullMethod !== 'pod' && pullMethod !== 'node') {
    causes.add(`${field}.pullMethod`, 'PullMethod not one of: pod, node');
  }
}

function checkStorage(spec: JsonObject, at: { field: string; sourceName: string | undefined }, causes: Causes): void {
  const { pvc, storage } = spec;
  if (pvc !== undefined && storage !== undefined) {
    causes.add(at.field, 'Duplicate storage definition, both target storage and target pvc defined');
    return;
  }
  if (pvc === undefined && storage === undefined) {
    causes.require(at.field, 'Missing Data volume PVC/Storage definition');
    return;
  }
  const [name, word, claim] = pvc === undefined ? ['storage', 'Storage', storage] : ['pvc', 'PVC', pvc];
  const size = fieldAt(claim, 'resources', 'requests', 'storage');
  const isDetected = name === 'storage' && (spec['sourceRef'] !== undefined || SIZED_SOURCES.has(at.sourceName ?? ''));
  if (size === undefined) {
    if (!isDetected) causes.require(`${at.field}.${name}.resources.requests.storage`, `${word} size is missing`);
  } else if ((parseQuantity(size) ?? 0) <= 0) {
    causes.add(`${at.field}.${name}.resources.requests.size`, `${word} size can't be equal or less than zero`);
  } else if ((parseQuantity(size) ?? 0) < LEAST_BYTES) {
    causes.add(`${at.field}.${name}.resources.requests.size`, `${word} size should be at least 1MiB`);
  }
  const modes = fieldAt(claim, 'accessModes');
  if (name === 'pvc' && (!Array.isArray(modes) || modes.length === 0)) {
    causes.require(`${at.field}.pvc.accessModes`, 'Required value: at least 1 access mode is required');
  }
}
