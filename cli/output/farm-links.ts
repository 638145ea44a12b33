import type { Connection } from '../../common/contracts/connection.ts';
import { sizeText } from '../../common/text/size-text.ts';
import { FarmClient } from '../client/farm-client.ts';
import type { FarmLimits } from '../farm/machine-limits.ts';
import { printLine } from './print.ts';

/** Next commands for a farm on this machine. */
export async function printFarm(
  { url, kubeconfig, token }: Connection,
  { sentence, end }: { sentence: string; end: string },
): Promise<void> {
  const link = await new FarmClient({ url, token }).consoleLink();
  printLine(`${sentence} ${url}`);
  printLine('  build:   slipway build PATH');
  printLine(`  console: ${link} (valid once, for 15 minutes; then: slipway open)`);
  printLine(`  queues:  ${url}/queues`);
  printLine(`  cluster: KUBECONFIG=${kubeconfig} kubectl get vms -A`);
  printLine(`  end:     ${end}`);
}

/** `4 machines, 8 cores and 7.8 GiB of memory at once`. */
export function describeLimits({ vms, imports, cpu, memoryBytes }: FarmLimits): string {
  return `${vms} machines, ${cpu} virtual cores, ${sizeText(memoryBytes)} of memory and ${imports} imports at once`;
}
