import { isDeepStrictEqual } from 'node:util';
import type { Finding } from '../../common/contracts/findings.ts';
import { preflight } from '../../common/kubernetes/preflight/preflight.ts';
import type { Alarm } from '../../common/lifecycle/alarm.ts';
import { reportFindings } from '../../common/redis/findings.ts';
import { inspectNetwork } from './cluster-network.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** What a cluster lacks changes when people change it, in kinds of many groups: too much to watch for too little. */
const LOOK_AGAIN_MS = 300_000;
const TROUBLE_MS = 10_000;

/**
 * Keeps the findings of the preflight in Redis: at once, whenever `reached` rings (the cluster answers again after it did
 * not), and slowly anyway. Ends with `signal`.
 */
export async function inspectCluster(options: ClusterWatchOptions, reached: Alarm, signal: AbortSignal): Promise<void> {
  const { cluster, logger } = options;
  let former: readonly Finding[] | undefined;
  while (!signal.aborted) {
    reached.reset();
    let nextMs = LOOK_AGAIN_MS;
    try {
      const findings = await inspectOnce(options, signal);
      if (!isDeepStrictEqual(findings, former)) tellFindings(options, findings);
      former = findings;
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error, cluster: cluster.name }, 'Preflight failed; retrying');
      nextMs = TROUBLE_MS;
    }
    await reached.within(nextMs, signal);
  }
}

/** One look. @throws ClusterUnavailable, RedisUnavailable */
export async function inspectOnce(options: ClusterWatchOptions, signal: AbortSignal): Promise<Finding[]> {
  const { redis, cluster, clusterConfig } = options;
  await inspectNetwork(options, signal);
  const findings = await preflight(cluster, clusterConfig, signal);
  await reportFindings(redis, cluster.name, findings);
  return findings;
}

function tellFindings({ cluster, logger }: ClusterWatchOptions, findings: readonly Finding[]): void {
  const lacks = findings.map(({ what }) => what);
  if (findings.some(({ severity }) => severity === 'error'))
    logger.warn({ cluster: cluster.name, lacks }, 'The cluster is not fit for the farm');
  else logger.info({ cluster: cluster.name, lacks }, 'The cluster is fit for the farm');
}
