import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { packagePath } from '../../common/config/package-root.ts';

/** The file of alert rules, as Prometheus reads it. */
export const RULES_FILE = packagePath('deploy', 'prometheus', 'rules', 'slipway.yaml');

const ruleSchema = z
  .object({
    alert: z.string(),
    expr: z.string(),
    annotations: z.object({ summary: z.string(), runbook: z.string() }),
    labels: z.object({ severity: z.enum(['page', 'warning']) }),
  })
  .transform(({ alert, expr, annotations }) => ({ alert, expr, runbook: annotations.runbook }));
const fileSchema = z.object({ groups: z.array(z.object({ rules: z.array(ruleSchema) })) });

/** All alert rules of the farm. */
export function alertRules() {
  return fileSchema.parse(parse(readFileSync(RULES_FILE, 'utf8'))).groups.flatMap(({ rules }) => rules);
}
