import { blobsIn } from '../../common/contracts/blobs.ts';
import type { LocalEntry } from '../../common/contracts/local-files.ts';
import type { Problem } from '../../common/contracts/problems.ts';
import type { GraphPlan } from '../graph/expand.ts';
import { planningError, problemOf, type UnplacedProblem } from '../graph/planning-problems.ts';
import type { BuildTask, NeededFile, PlanCluster } from './plan-task.ts';
import { unpackModules } from './read-modules.ts';

/** The local files of the layers to build. @throws LocalFilesOff when their cluster cannot read them */
export function neededFiles(
  { plan, layers }: GraphPlan,
  task: BuildTask,
  clusterOf: (module: string) => PlanCluster | undefined,
): NeededFile[] {
  const needed = new Set<string>();
  const problems: Problem[] = [];
  for (const { name, action } of plan.modules) {
    const found = action === 'reuse' ? new Set<string>() : blobsIn(JSON.stringify(layers[name]?.spec ?? null));
    const problem = found.size > 0 && unreadable(clusterOf(name), task.hasBlobs);
    const module = layers[name]?.spec?.module;
    if (problem && module) problems.push(problemOf(module, problem));
    for (const sha256 of found) needed.add(sha256);
  }
  if (problems.length > 0) throw planningError(problems);
  const paths = pathsOf(unpackModules(task.modules).localFiles);
  return [...needed].map((sha256) => ({ sha256, path: paths.get(sha256) ?? null }));
}

function unreadable(cluster: PlanCluster | undefined, hasBlobs: boolean): UnplacedProblem | undefined {
  if (hasBlobs && cluster && cluster.blobsUrl !== null) return undefined;
  const option = hasBlobs ? 'blobs.url' : 'blobs.directory';
  const message = `it names local files, which this farm cannot hand to the cluster "${cluster?.name}": the option ${option} is missing`;
  return { code: 'LocalFilesOff', message };
}

function pathsOf(localFiles: readonly LocalEntry[]): ReadonlyMap<string, string> {
  return new Map(localFiles.flatMap((entry) => ('sha256' in entry ? [[entry.sha256, entry.path] as const] : [])));
}
