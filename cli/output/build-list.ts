import type { BuildSummary, ClusterView } from '../../common/contracts/builds.ts';
import { fullStorage } from '../../common/contracts/full-storage.ts';
import type { RunView } from '../../common/contracts/runs.ts';
import { ageOf, seconds } from '../../common/text/durations.ts';
import { printable } from '../../common/text/printable.ts';
import { sizeText } from '../../common/text/size-text.ts';
import { shortId } from '../client/resolve-build.ts';
import { printLine } from './print.ts';
import { printTable } from './table.ts';

/** Builds as rows that fit a terminal: modules are named, and their state where it is not that of the build. */
export function printBuilds(builds: readonly BuildSummary[], now: number): void {
  printTable(
    ['build', 'state', 'by', 'created', 'took', 'modules'],
    builds.map(({ buildId, state, submittedBy, modules, createdAt, finishedAt }) => [
      shortId(buildId),
      state,
      submittedBy ?? '-',
      ageOf(now - createdAt),
      seconds(Math.max(0, (finishedAt ?? now) - createdAt)),
      modules.map((module) => (module.state === state ? module.name : `${module.name} ${module.state}`)).join(', '),
    ]),
    { fits: true },
  );
}

/** Running clones; empty without any. */
export function printRuns(runs: readonly RunView[], now: number): void {
  if (runs.length === 0) return;
  printTable(
    ['clone', 'image', 'state', 'by', 'ends in', 'machines'],
    runs.map(({ buildId, image, state, by, until, ttlMs, vms }) => [
      ...[shortId(buildId), image, state, by ?? '-', seconds(until === null ? ttlMs : Math.max(0, until - now))],
      vms.map(({ vm, isOff }) => (isOff ? `${vm} (off)` : vm)).join(', '),
    ]),
    { fits: true },
  );
}

/** Clusters, and the holders of their slots; errors of a cluster are printed below. */
export function printClusters(clusters: readonly ClusterView[]): void {
  printTable(
    ['cluster', 'healthy', 'vms', 'imports', 'cpu', 'free', 'held by'],
    clusters.map(({ name, healthy, limits, inUse, storage, holders }) => [
      name,
      healthy ? 'yes' : 'no',
      `${inUse.vms}/${limits.vms}`,
      `${inUse.imports}/${limits.imports}`,
      `${inUse.cpu}/${limits.cpu}`,
      storage === null ? '-' : sizeText(storage.freeBytes),
      holders.map((holder) => `${holder.module} (${holder.vms})`).join(', '),
    ]),
    { fits: true },
  );
  for (const { name, healthy, message, mode, changed, storage } of clusters) {
    if (mode !== 'open') printLine(`${name}: ${mode}, by ${printable(changed?.by ?? '')}`);
    if (!healthy) printLine(`${name}: ${printable(message ?? 'it does not answer')}`);
    const full = fullStorage(storage);
    if (full !== null) printLine(`${name}: ${full}`);
  }
}
