import { FarmError } from '../../common/errors/farm-error.ts';
import type { Store } from '../api/store.ts';
import type { CloudInit, Vmi, VmiVolume } from './kubevirt-types.ts';
import { decodedData } from './secret-values.ts';

/** Label and files of a disc that is made for one machine. */
export interface Disc {
  readonly label: string;
  readonly files: ReadonlyMap<string, Buffer | string>;
}

/** The disc of a cloud-init volume (NoCloud or ConfigDrive); undefined when the volume is another kind. */
export function cloudInitDisc(store: Store, vmi: Vmi, volume: VmiVolume): Disc | undefined {
  if (volume.cloudInitNoCloud) return noCloud(vmi, readCloudInit(store, vmi, volume.cloudInitNoCloud));
  if (volume.cloudInitConfigDrive) return configDrive(vmi, readCloudInit(store, vmi, volume.cloudInitConfigDrive));
  return undefined;
}

interface CloudInitContent {
  readonly userData: Buffer;
  readonly networkData: Buffer | undefined;
}

function readCloudInit(store: Store, vmi: Vmi, source: CloudInit): CloudInitContent {
  const namespace = vmi.metadata.namespace;
  const user = decodedData(store, { kind: 'Secret', namespace, name: source.secretRef?.name });
  const network = decodedData(store, { kind: 'Secret', namespace, name: source.networkDataSecretRef?.name });
  const userData = user.get('userdata') ?? user.get('userData') ?? inline(source.userData, source.userDataBase64);
  const networkData =
    network.get('networkdata') ??
    network.get('networkData') ??
    user.get('networkdata') ??
    user.get('networkData') ??
    inline(source.networkData, source.networkDataBase64);
  if (source.secretRef && !userData) {
    throw new FarmError('NotFound', `No userdata in the Secret "${namespace}/${source.secretRef.name}"`);
  }
  return { userData: userData ?? Buffer.alloc(0), networkData };
}

function inline(plain: string | undefined, encoded: string | undefined): Buffer | undefined {
  if (plain !== undefined) return Buffer.from(plain);
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64');
}

function hostnameOf({ spec, metadata }: Vmi): string {
  return spec.hostname ?? metadata.name;
}

/** KubeVirt names an instance by VMI and namespace. */
function instanceId({ metadata }: Vmi): string {
  return `${metadata.name}.${metadata.namespace}`;
}

function noCloud(vmi: Vmi, { userData, networkData }: CloudInitContent): Disc {
  const metaData = { 'instance-id': instanceId(vmi), 'local-hostname': hostnameOf(vmi) };
  // One key a line: YAML to cloud-init, and readable for small guests that know no JSON.
  const lines = Object.entries(metaData).map(([key, value]) => `${key}: ${value}\n`);
  const files = new Map<string, Buffer | string>([
    ['user-data', userData],
    ['meta-data', lines.join('')],
  ]);
  if (networkData) files.set('network-config', networkData);
  return { label: 'cidata', files };
}

function configDrive(vmi: Vmi, { userData, networkData }: CloudInitContent): Disc {
  const hostname = hostnameOf(vmi);
  const metaData = { instance_id: instanceId(vmi), local_hostname: hostname, hostname, uuid: vmi.metadata.uid };
  const files = new Map<string, Buffer | string>([
    ['openstack/latest/user_data', userData],
    ['openstack/latest/meta_data.json', JSON.stringify(metaData)],
  ]);
  if (networkData) files.set('openstack/latest/network_data.json', networkData);
  return { label: 'config-2', files };
}

/** The disc with Windows answer files; undefined when the volume is another kind. */
export function sysprepDisc(store: Store, vmi: Vmi, { sysprep }: VmiVolume): Disc | undefined {
  if (!sysprep) return undefined;
  const kind = sysprep.secret ? 'Secret' : 'ConfigMap';
  const name = (sysprep.secret ?? sysprep.configMap)?.name;
  return { label: 'sysprep', files: required(store, vmi, { kind, name }) };
}

/** The disc of a Secret or ConfigMap volume; undefined when the volume is another kind. */
export function volumeDisc(store: Store, vmi: Vmi, { secret, configMap }: VmiVolume): Disc | undefined {
  if (secret) {
    const files = required(store, vmi, { kind: 'Secret', name: secret.secretName });
    return { label: secret.volumeLabel || 'cfgdata', files };
  }
  if (!configMap) return undefined;
  return {
    label: configMap.volumeLabel || 'cfgdata',
    files: required(store, vmi, { kind: 'ConfigMap', name: configMap.name }),
  };
}

function required(
  store: Store,
  vmi: Vmi,
  { kind, name }: { readonly kind: 'Secret' | 'ConfigMap'; readonly name: string | undefined },
): Map<string, Buffer> {
  const namespace = vmi.metadata.namespace;
  if (name === undefined || !store.get(kind, { namespace, name })) {
    throw new FarmError('NotFound', `The ${kind} "${namespace}/${name ?? ''}" does not exist`);
  }
  return decodedData(store, { kind, namespace, name });
}
