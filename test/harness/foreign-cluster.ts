/** The cluster that `npm run test:cluster` and `npm run test:kubernetes` run the conformance suites against. */
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

/**
 * Ends the names of the namespaces that conformance suites make, and is a label on these and on what no namespace takes with
 * it. By this `npm run test:cluster` finds what suites left that were cut off: vitest ends at a signal without their hooks.
 */
export const RUN_VARIABLE = 'SLIPWAY_CONFORMANCE_RUN';
export const run = env[RUN_VARIABLE] ?? String(process.pid);
export const RUN_LABEL = 'slipway.dev/conformance-run';
export const runLabels = { [RUN_LABEL]: run };
