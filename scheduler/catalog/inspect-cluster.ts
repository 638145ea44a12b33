import { isDeepStrictEqual } from 'node:util';
import type { Finding } from '../../common/contracts/findings.ts';
import { preflight } from '../../common/kubernetes/preflight/preflight.ts';
import { lookAgain, type Wake } from '../../common/lifecycle/look-again.ts';
import { reportFindings } from '../../common/redis/findings.ts';
import { reportNetwork } from '../../common/redis/networks.ts';
import type { ClusterWatchOptions } from './sweep-orphans.ts';

/** The findings change only when people change the cluster, in kinds of many groups: watching all of them is not worthwhile. */
const LOOK_AGAIN_MS = 300_000;

/**
 * Keeps the findings of the preflight in Redis: at once, whenever `reached` rings (the cluster answers again after it did
 * not), and slowly anyway. Ends with `signal`.
 */
export function inspectCluster(options: ClusterWatchOptions, reached: Wake, signal: AbortSignal): Promise<void> {
  const { cluster, clock, logger } = options;
  let former: readonly Finding[] | undefined;
  const look = async () => {
    const findings = await inspectOnce(options, signal);
    if (!isDeepStrictEqual(findings, former)) logFindings(options, findings);
    former = findings;
    return null;
  };
  const loop = { what: 'Preflight', fields: { cluster: cluster.name }, look, everyMs: LOOK_AGAIN_MS, wake: [reached] };
  return lookAgain({ ...loop, clock, logger }, signal);
}

/** One look. @throws ClusterUnavailable, RedisUnavailable */
export async function inspectOnce(options: ClusterWatchOptions, signal: AbortSignal): Promise<readonly Finding[]> {
  const { redis, cluster, clusterConfig } = options;
  const { network, findings } = await preflight(cluster, clusterConfig, signal);
  await reportNetwork(redis, cluster.name, network);
  await reportFindings(redis, cluster.name, findings);
  return findings;
}

function logFindings({ cluster, logger }: ClusterWatchOptions, findings: readonly Finding[]): void {
  const lacks = findings.map(({ what }) => what);
  if (findings.some(({ severity }) => severity === 'error'))
    logger.warn({ cluster: cluster.name, lacks }, 'The cluster is not fit for the farm');
  else logger.info({ cluster: cluster.name, lacks }, 'The cluster is fit for the farm');
}
