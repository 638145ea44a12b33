import type { Agent } from 'undici';
import type { Clock } from '../../common/clock/clock.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { FarmKey } from '../../common/config/sealing.ts';
import type { LogLimits } from '../../common/contracts/log-limits.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { FarmMetrics } from '../../common/metrics/farm-metrics.ts';
import type { ClaimedSecrets } from './claimed-secrets.ts';
import type { SourceAddresses } from './source-addresses.ts';
import type { ConsoleHost } from './worker-consoles.ts';

/**
 * Everything an executor may use. It ends its waits when `signal` is aborted: cancelled, another worker took over, or
 * this worker drains.
 */
export interface PhaseContext {
  readonly claim: PhaseClaim;
  readonly cluster: ClusterClient;
  readonly clusterConfig: ClusterConfig;
  /** Name of the farm, in the labels of everything it makes. */
  readonly farm: string;
  readonly store: PhaseStore;
  readonly farmKey: FarmKey;
  /** Secrets that the texts of the spec refer to. `store`, `logger` and the result of the executor mask it by themselves. */
  readonly secrets: ClaimedSecrets;
  /** Agent for users' URLs that the worker itself fetches. */
  readonly agent: Agent;
  /** Addresses of the module's sources. */
  readonly addresses: SourceAddresses;
  /** Consoles to type on. */
  readonly consoles: ConsoleHost;
  /** How much of the output of steps is taken. */
  readonly logLimits: Pick<LogLimits, 'step' | 'perSecond'>;
  readonly metrics: FarmMetrics;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Aborted when the phase is no longer this worker's, not when it drains: then seconds are left to get to a point from which another one can continue. */
  readonly unwanted: AbortSignal;
}

/**
 * The executor of one phase. `execute` is re-entrant and level-triggered: it reads the present objects, converges and returns a result,
 * so that another run after a crash at any point adopts the objects of the former run.
 * A module that cannot be built is a result, or a thrown `PhaseFailure`; trouble of the farm is a thrown `FarmError`.
 */
export interface PhaseExecutor {
  readonly phase: Phase;
  execute(context: PhaseContext): Promise<PhaseResult>;
}
