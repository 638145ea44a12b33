import { printable } from '../../common/text/printable.ts';
import type { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine, printNote } from '../output/print.ts';

/** Whether a machine is among those that `--vm` names, as VM or MODULE/VM; without names, every one is. */
export function isNamed(names: readonly string[] | undefined, module: string, vm: string): boolean {
  return names === undefined || names.includes(vm) || names.includes(`${module}/${vm}`);
}

export interface SerialLogFlags {
  /** Only these machines, as VM or MODULE/VM; all of the build when absent. */
  readonly vms?: readonly string[] | undefined;
  /** Continue until their layer builds have ended. */
  readonly follow: boolean;
  readonly json: boolean;
}

/** Prints the serial output of the machines of a build. */
export async function printSerialLog(client: FarmClient, buildId: string, options: SerialLogFlags): Promise<void> {
  const { modules } = await client.build(buildId);
  const machines = modules.flatMap(({ name: module, layerBuild, vms }) =>
    vms
      .filter(({ vm }) => layerBuild !== null && isNamed(options.vms, module, vm))
      .map(({ vm }) => ({ module, vm, layerBuild: layerBuild ?? '' })),
  );
  if (machines.length === 0) {
    printNote(options.vms ? `The build has no machine ${options.vms.join(', ')}.` : 'The build has no machine.');
    return;
  }
  const show = async ({ module, vm, layerBuild }: (typeof machines)[number]) => {
    for await (const { time, lines } of client.machines.serial(buildId, { vm, layerBuild, follow: options.follow })) {
      for (const line of lines) {
        if (options.json) printJson({ time, module, vm, line });
        else printLine(`${module}/${vm} | ${printable(line)}`);
      }
    }
  };
  // Those that have ended do not mix.
  if (options.follow) await Promise.all(machines.map(show));
  else for (const machine of machines) await show(machine);
}
