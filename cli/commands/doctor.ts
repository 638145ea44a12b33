import { join } from 'node:path';
import type { Command } from 'commander';
import type { ClusterView } from '../../common/contracts/builds.ts';
import { ERRORS } from '../../common/errors/error-table.ts';
import { errorMessage, FarmError } from '../../common/errors/farm-error.ts';
import { type ConnectionFlags, currentDataDir, findFarm, stateFolder } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { type Check, inspectMachine } from '../farm/machine-checks.ts';
import { printJson } from '../output/print.ts';
import { printTable } from '../output/table.ts';
import { addConnectionFlags } from './shared-flags.ts';

interface DoctorFlags extends ConnectionFlags {
  readonly json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('doctor')
    .description('check this machine and the farm, and list what is missing and what needs it')
    .option('--json', 'print JSON');
  addConnectionFlags(command).action(async (flags: DoctorFlags) => {
    const checks = [...inspectMachine(currentDataDir() ?? join(stateFolder(), 'farm')), ...(await inspectFarm(flags))];
    const ok = checks.every((check) => check.state !== 'missing');
    if (flags.json) printJson({ ok, checks });
    else
      printTable(
        ['check', 'state', 'what it means'],
        checks.map(({ name, state, message }) => [name, state, message]),
      );
    process.exitCode = ok ? 0 : 1;
  });
}

async function inspectFarm(flags: ConnectionFlags): Promise<Check[]> {
  const farm = findFarm(flags);
  if (!farm)
    return [{ name: 'farm', state: 'limited', message: 'no farm runs on this machine; `slipway up` starts one' }];
  try {
    const clusters = await new FarmClient(farm).clusters();
    return clusters.flatMap((cluster) => [inspectCluster(cluster, farm.url), ...inspectFindings(cluster)]);
  } catch (error) {
    return [{ name: 'farm', state: 'missing', message: describeTrouble(error, farm.url) }];
  }
}

/** Distinguishes a wrong token from an absent farm, and from another server. */
function describeTrouble(error: unknown, url: string): string {
  if (!(error instanceof FarmError)) return errorMessage(error);
  const what = error.code === 'Unauthorized' ? `The farm at ${url} runs, but refuses this token.` : error.message;
  return `${what} ${ERRORS[error.code].solve}`;
}

function inspectCluster({ name, healthy, message, workers }: ClusterView, url: string): Check {
  const check = { name: `cluster ${name}`, state: 'missing' } as const;
  const idle = workers.filter((worker) => worker.processes === 0).map((worker) => worker.phase);
  if (!healthy) return { ...check, message: message ?? 'it does not answer' };
  if (idle.length > 0) return { ...check, message: `no worker for ${idle.join(', ')}` };
  return { ...check, state: 'ok', message: `reached through ${url}` };
}

/** Findings of the scheduler's preflight. */
function inspectFindings({ name, findings }: ClusterView): Check[] {
  return findings.map(({ what, severity, howToFix }) => ({
    name: `cluster ${name}`,
    state: severity === 'error' ? 'missing' : 'limited',
    message: `${what} ${howToFix}`,
  }));
}
