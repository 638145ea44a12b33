import { printable } from '../../common/text/printable.ts';
import type { FarmClient } from '../client/farm-client.ts';
import { printJson, printLine, printNote } from '../output/print.ts';

export interface SerialLogOptions {
  /** Only this machine; all of the build when absent. */
  readonly vm?: string | undefined;
  /** Go on until the work on them has ended. */
  readonly follow: boolean;
  readonly json: boolean;
}

/** Prints what the machines of a build have said at their serial ports. */
export async function printSerialLog(client: FarmClient, buildId: string, options: SerialLogOptions): Promise<void> {
  const { modules } = await client.build(buildId);
  const machines = modules.flatMap(({ name: module, layerBuild, vms }) =>
    vms
      .filter(({ vm }) => layerBuild !== null && (options.vm === undefined || vm === options.vm))
      .map(({ vm }) => ({ module, vm, layerBuild: layerBuild ?? '' })),
  );
  if (machines.length === 0) {
    printNote(options.vm === undefined ? 'The build has no machine.' : `The build has no machine "${options.vm}".`);
    return;
  }
  const show = async ({ module, vm, layerBuild }: (typeof machines)[number]) => {
    for await (const { time, lines } of client.serial(buildId, { vm, layerBuild, follow: options.follow })) {
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
