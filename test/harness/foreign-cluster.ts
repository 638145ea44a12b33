/** What `npm run test:cluster` and `npm run test:kubernetes` tell the conformance suites of the cluster that they are to run against. */
const { env } = process;

/** Names its kubeconfig. */
export const FOREIGN_KUBECONFIG = 'SLIPWAY_CONFORMANCE_KUBECONFIG';

/** Its kubeconfig; undefined: each suite starts an embedded cluster of its own. */
export const foreignKubeconfig = env[FOREIGN_KUBECONFIG];

/** Classes of volumes and snapshots; the defaults of the cluster otherwise. */
export const storageClass = env['SLIPWAY_CONFORMANCE_STORAGE_CLASS'];
export const snapshotClass = env['SLIPWAY_CONFORMANCE_SNAPSHOT_CLASS'];

/** Address of this machine under which the cluster reaches it. */
export const mediaHost = env['SLIPWAY_CONFORMANCE_MEDIA_HOST'] ?? '127.0.0.1';
