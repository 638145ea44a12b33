import { systemClock } from '../../common/clock/clock.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { Screen } from '../../common/console/screen.ts';
import type { FarmEvent } from '../../common/contracts/events.ts';
import type { LayerRecord, LayerSpec } from '../../common/contracts/layers.ts';
import { DEFAULT_LOG_LIMITS } from '../../common/contracts/log-limits.ts';
import type { PhaseStore } from '../../common/contracts/phase-store.ts';
import type { Phase } from '../../common/contracts/phases.ts';
import { createGuardedAgent } from '../../common/fetch/guarded-agent.ts';
import { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { userAgent } from '../../common/kubernetes/user-agent.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createMetrics } from '../../common/metrics/farm-metrics.ts';
import { openSecrets } from '../../workers/context/claimed-secrets.ts';
import { sourceAddresses } from '../../workers/context/source-addresses.ts';
import type { ConsoleHost } from '../../workers/context/worker-consoles.ts';

/** A phase of a VM to be run without a queue. */
export interface StagedPhase {
  readonly clusterConfig: ClusterConfig;
  readonly spec: LayerSpec;
  readonly vm: string;
  readonly phase: Phase;
  /** @defaultValue a fixed ULID */
  readonly layerBuild?: string;
  readonly parents?: Readonly<Record<string, LayerRecord>>;
  readonly signal?: AbortSignal;
  /** Values by name. */
  readonly secrets?: Readonly<Record<string, string>>;
}

/** What sealed values of specifications are sealed under. */
export const TEST_FARM_KEY = createFarmKey('a key for tests that is long enough');

const AGENT = createGuardedAgent({ allowedAddresses: ['127.0.0.0/8'] });

/** Consoles without viewers. */
const UNWATCHED: ConsoleHost = {
  hold: async () => ({ screen: new Screen(1, 1), show: () => {}, release: async () => {} }),
};

/** The context of an executor with a store that only remembers: every claim stays current. */
export function stagePhase(staged: StagedPhase) {
  const { clusterConfig, spec, vm, phase, parents = {} } = staged;
  const events: FarmEvent[] = [];
  const screenshots: Buffer[] = [];
  const refuse = async () => {
    throw new Error('An executor never claims or commits.');
  };
  const store: PhaseStore = {
    claim: refuse,
    commit: refuse,
    watch: refuse,
    assertCurrent: async () => {},
    emit: async (_claim, event) => void events.push(event),
    pause: refuse,
    lastPause: async () => null,
    onPauseChange: () => () => {},
    keepSerial: async () => {},
    serialPosition: async () => 0,
    useSource: async () => null,
    saveScreenshot: async (_claim, png) => void screenshots.push(png),
  };
  const layerBuild = staged.layerBuild ?? '01J00000000000000000000000';
  const job = { layerBuild, generation: 1, vm, phase, dispatch: 1 };
  const farmKey = TEST_FARM_KEY;
  const sealed = Object.entries(staged.secrets ?? {}).map(([name, value]) => [name, farmKey.seal(value)]);
  const secrets = Object.fromEntries(sealed);
  const claim = {
    job,
    epoch: 1,
    fence: 'the only one',
    cluster: clusterConfig.name,
    spec,
    parents,
    secrets,
    formerClaims: 0,
    keepMs: null,
    pauseBefore: [],
  };
  return {
    claim,
    cluster: new ClusterClient(clusterConfig, { userAgent: userAgent(phase) }),
    clusterConfig,
    farm: 'test',
    store,
    farmKey,
    secrets: openSecrets(claim, farmKey),
    agent: AGENT,
    addresses: sourceAddresses({ farmKey, clock: systemClock, blobsUrl: spec.blobsUrl, guarded: AGENT, own: AGENT }),
    consoles: UNWATCHED,
    logLimits: DEFAULT_LOG_LIMITS,
    metrics: createMetrics(),
    logger: createLogger({ name: 'test', level: 'silent' }),
    clock: systemClock,
    signal: staged.signal ?? new AbortController().signal,
    unwanted: new AbortController().signal,
    events,
    screenshots,
  };
}
