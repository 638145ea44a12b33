import { parseArgs } from 'node:util';
import { type ClusterConfig, configSchema } from '../../common/config/schema.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Options of `npm run test:cluster`: flags, or the variable beside each. */
const FLAGS = {
  kubeconfig: 'KUBECONFIG',
  namespace: 'SLIPWAY_TEST_NAMESPACE',
  'storage-class': 'SLIPWAY_TEST_STORAGE_CLASS',
  'snapshot-class': 'SLIPWAY_TEST_SNAPSHOT_CLASS',
  'external-subnet': 'SLIPWAY_TEST_EXTERNAL_SUBNET',
  'relay-image': 'SLIPWAY_TEST_RELAY_IMAGE',
  'media-host': 'SLIPWAY_TEST_MEDIA_HOST',
} as const;
type Flag = keyof typeof FLAGS;

export interface ClusterTestOptions {
  readonly cluster: ClusterConfig & { readonly kubeconfig: string };
  /** Address of this machine under which the cluster reaches it. */
  readonly mediaHost: string;
}

/** Reads flags and environment. @throws InvalidConfig naming what is missing */
export function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ClusterTestOptions {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.keys(FLAGS).map((flag) => [flag, { type: 'string' as const }])),
  });
  const given = (flag: Flag) => values[flag]?.toString() || environment[FLAGS[flag]] || undefined;
  const needed = (flag: Flag) => {
    const value = given(flag);
    if (value === undefined) throw new FarmError('InvalidConfig', `Name --${flag}, or set ${FLAGS[flag]}.`);
    return value;
  };
  const kubeconfig = needed('kubeconfig');
  const optional = {
    namespace: given('namespace'),
    storageClass: given('storage-class'),
    snapshotClass: given('snapshot-class'),
    externalSubnet: given('external-subnet'),
  };
  const cluster = {
    ...{ name: 'tested', kubeconfig, relayImage: needed('relay-image') },
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
  const [parsed] = configSchema.parse({ clusters: [cluster] }).clusters;
  if (!parsed) throw new FarmError('InvalidConfig', 'The schema dropped the cluster.');
  return { cluster: { ...parsed, kubeconfig }, mediaHost: needed('media-host') };
}
