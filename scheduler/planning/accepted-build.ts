import type { Action } from '../../common/contracts/events.ts';
import type { Plan } from '../../common/contracts/plans.ts';
import { type BuildModule, readBuildModules } from '../../common/redis/builds.ts';
import { type AcceptedBuild, readJson, type SubmittedTask, writeJson } from './plan-task.ts';

/** A plan with what became of it: others may have begun the same meanwhile, or the request was accepted before. */
export function acceptedBuild({ buildId, plan, modules }: SubmittedTask): AcceptedBuild {
  const accepted = readBuildModules(modules);
  const carriedOut = plan === null ? planOf(accepted) : withOutcome(readJson<Plan>(plan), accepted);
  const actions: Partial<Record<Action, number>> = {};
  if (plan !== null) for (const { action } of carriedOut.modules) actions[action] = (actions[action] ?? 0) + 1;
  const names = carriedOut.modules.map(({ name }) => name);
  return { buildId, answer: writeJson({ buildId, plan: carriedOut }), modules: names, actions };
}

function withOutcome(plan: Plan, accepted: readonly BuildModule[]): Plan {
  const byName = new Map(accepted.map((module) => [module.name, module]));
  const modules = plan.modules.map((module) => {
    const { action, layerKey, why } = byName.get(module.name) ?? module;
    return { ...module, action, layerKey, why };
  });
  return { ...plan, modules };
}

/** The known plan of a build that was accepted before: its jobs have been dispatched since. */
function planOf(accepted: readonly BuildModule[]): Plan {
  const modules = accepted.map(({ name, layerKey, action, why, dependsOn }) => {
    return { name, layerKey, action, why, dependsOn: dependsOn.split(' ').filter(Boolean), jobs: [] };
  });
  return { modules, criticalPath: [], totals: { modules: modules.length, jobs: 0 }, warnings: [] };
}
