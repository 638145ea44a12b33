import { itemsOf } from '../json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';
import type { Causes } from './causes.ts';

/** Limit for inline cloud-init data, in bytes; more belongs into a Secret. */
const MAX_INLINE_BYTES = 2048;
const CLOUD_INIT = ['cloudInitNoCloud', 'cloudInitConfigDrive'];

/** Checks `volumes` of an instance spec. */
export function checkVolumes(spec: JsonObject, field: string, causes: Causes): void {
  const names = new Set<unknown>();
  const volumes = itemsOf(spec, 'volumes');
  for (const [index, volume] of volumes.entries()) {
    const at = `${field}.volumes[${index}]`;
    const { name, ...sources } = volume;
    if (names.has(name)) causes.add(`${at}.name`, `${at} and another volume must not have the same Name.`);
    names.add(name);
    const given = Object.keys(sources);
    if (given.length !== 1) causes.add(at, `${at} must have exactly one source type set`);
    for (const source of CLOUD_INIT) {
      const cloudInit = volume[source];
      if (isJsonObject(cloudInit)) checkCloudInit(cloudInit, `${at}.${source}`, causes);
    }
    checkNamed(volume, at, causes);
  }
  const cloudInitVolumes = volumes.filter((volume) => CLOUD_INIT.some((source) => volume[source] !== undefined));
  if (cloudInitVolumes.length > 1)
    causes.add(`${field}.volumes`, `${field}.volumes must have max one cloudInit volume set`);
}

function checkCloudInit(cloudInit: JsonObject, at: string, causes: Causes): void {
  checkInline(cloudInit, { at, kind: 'userdata', names: ['userData', 'userDataBase64', 'secretRef'] }, causes);
  checkInline(
    cloudInit,
    { at, kind: 'networkdata', names: ['networkData', 'networkDataBase64', 'networkDataSecretRef'] },
    causes,
  );
  const hasUserData = ['userData', 'userDataBase64', 'secretRef'].some((name) => isGiven(cloudInit[name]));
  const hasNetworkData = ['networkData', 'networkDataBase64', 'networkDataSecretRef'].some((name) =>
    isGiven(cloudInit[name]),
  );
  if (!hasUserData && !hasNetworkData)
    causes.add(at, `${at} must have at least one userdatasource or networkdatasource set.`);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== '';
}

function checkInline(
  cloudInit: JsonObject,
  { at, kind, names }: { at: string; kind: string; names: readonly [string, string, string] },
  causes: Causes,
): void {
  const [plain, base64] = names;
  if (names.filter((name) => isGiven(cloudInit[name])).length > 1) {
    causes.add(at, `${at} must have only one ${kind} source set.`);
  }
  const text = cloudInit[plain];
  if (typeof text === 'string' && Buffer.byteLength(text) > MAX_INLINE_BYTES) {
    causes.add(
      `${at}.${plain}`,
      `${at}.${plain} exceeds ${MAX_INLINE_BYTES} byte limit. Should use UserDataSecretRef for larger data.`,
    );
  }
  const encoded = cloudInit[base64];
  if (typeof encoded !== 'string' || encoded === '') return;
  const decoded = Buffer.from(encoded, 'base64');
  if (decoded.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) {
    causes.add(`${at}.${base64}`, `${at}.${base64} is not a valid base64 value.`);
  } else if (decoded.length > MAX_INLINE_BYTES) {
    causes.add(
      `${at}.${base64}`,
      `${at}.${base64} exceeds ${MAX_INLINE_BYTES} byte limit. Should use UserDataSecretRef for larger data.`,
    );
  }
}

/** Volumes that point at another object must name it. */
function checkNamed(volume: JsonObject, at: string, causes: Causes): void {
  for (const [source, name] of [
    ['dataVolume', 'name'],
    ['persistentVolumeClaim', 'claimName'],
    ['secret', 'secretName'],
    ['configMap', 'name'],
    ['containerDisk', 'image'],
    ['emptyDisk', 'capacity'],
  ] as const) {
    if (isJsonObject(volume[source]) && !isGiven(fieldAt(volume, source, name))) {
      causes.require(`${at}.${source}.${name}`, `${at}.${source}.${name} is a required field`);
    }
  }
  const sysprep = volume['sysprep'];
  if (!isJsonObject(sysprep)) return;
  const given = ['configMap', 'secret'].filter((name) => sysprep[name] !== undefined);
  if (given.length !== 1)
    causes.add(`${at}.sysprep`, `${at}.sysprep must have exactly one of configMap and secret set`);
}
