import { z } from 'zod';
import { actionSchema } from './events.ts';
import { phaseSchema } from './phases.ts';

/** One phase of one VM in a plan; `id` is `<module>.<vm>.<phase>` and unique within the plan. */
export const planJobSchema = z.object({
  id: z.string(),
  phase: phaseSchema,
  vm: z.string(),
  dependsOn: z.array(z.string()),
});

export const planModuleSchema = z.object({
  name: z.string(),
  layerKey: z.string(),
  action: actionSchema,
  /** Reason of the action, in a few words. */
  why: z.string(),
  /** Modules of the plan whose layers it starts from. */
  dependsOn: z.array(z.string()),
  /** Four per VM to build; none for a reused or joined module. */
  jobs: z.array(planJobSchema),
});

/** Output of `slipway plan` and answer of `POST /plan`; modules in topological order. */
export const planSchema = z.object({
  modules: z.array(planModuleSchema),
  criticalPath: z.array(z.string()),
  totals: z.object({ modules: z.int(), jobs: z.int() }),
  warnings: z.array(z.string()),
});

export type PlanJob = z.infer<typeof planJobSchema>;
export type PlanModule = z.infer<typeof planModuleSchema>;
export type Plan = z.infer<typeof planSchema>;
