import { type Command, InvalidArgumentError } from 'commander';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { parseDuration } from '../../common/contracts/module/duration.ts';
import { type ConnectionFlags, requireFarm } from '../client/connection.ts';
import { FarmClient } from '../client/farm-client.ts';
import { resolveBuild } from '../client/resolve-build.ts';
import { type BuildOutput, jsonOutput, lineOutput } from '../output/build-progress.ts';
import { printNote } from '../output/print.ts';
import { followBuild } from './build.ts';
import { isNamed, printSerialLog } from './serial-log.ts';
import { addConnectionFlags, addFollowFlags, collectList, type FollowFlags } from './shared-flags.ts';

interface LogFlags extends ConnectionFlags, FollowFlags {
  readonly follow?: boolean;
  readonly vm?: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly since?: number;
  readonly timestamps?: boolean;
  readonly json?: boolean;
  readonly serial?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('logs')
    .description('print the events of a build and the output of its machines')
    .argument('[build]', 'id of the build, or the beginning or end of the id (default: the newest one)')
    .option('-f, --follow', 'follow until the build has finished')
    .option('--serial', 'print the serial output of the machines instead')
    .option('--vm <names>', 'only these machines, as VM or MODULE/VM (commas; repeatable)', collectList)
    .option(
      '--since <time>',
      'only newer entries: a duration such as 10m, or a time such as 2026-01-31T12:00:00Z',
      toTime,
    )
    .option('-t, --timestamps', 'begin each line with its time')
    .option('--json', 'print one JSON object per line');
  addFollowFlags(addConnectionFlags(command)).action(async (id: string | undefined, flags: LogFlags) => {
    const client = new FarmClient(requireFarm(flags));
    const buildId = id === undefined ? (await client.builds())[0]?.buildId : await resolveBuild(client, id);
    if (buildId === undefined) {
      printNote('The farm has no builds.');
      return;
    }
    if (flags.serial) {
      return printSerialLog(client, buildId, {
        vms: flags.vm,
        follow: flags.follow ?? false,
        json: flags.json ?? false,
      });
    }
    const whole = flags.json
      ? jsonOutput(process.stdout)
      : lineOutput(process.stdout, buildId, { timestamps: flags.timestamps ?? false });
    const output: BuildOutput = { ...whole, show: (event) => void (isSelected(event, flags) && whole.show(event)) };
    if (flags.follow) {
      process.exitCode = await followBuild({ client, buildId, flags, output });
      return;
    }
    for await (const event of client.pastEvents(buildId)) output.show(event);
  });
}

/** With `--vm` only what happened to these machines; what happened to a module or the build names none. */
function isSelected(event: StoredEvent, { vm, since }: Pick<LogFlags, 'vm' | 'since'>): boolean {
  if (since !== undefined && Date.parse(event.time) < since) return false;
  return vm === undefined || ('vm' in event && isNamed(vm, event.module, event.vm));
}

function toTime(text: string): number {
  const duration = parseDuration(text);
  if ('value' in duration) return Date.now() - duration.value;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new InvalidArgumentError('Write a duration such as 10m, or a time of ISO 8601.');
  return time;
}
