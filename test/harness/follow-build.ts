import type { FarmClient } from '../../cli/client/farm-client.ts';
import { describeEvent } from '../../cli/output/build-lines.ts';
import { systemClock } from '../../common/clock/clock.ts';

/** What came of a build, read off its events. */
export interface FollowedBuild {
  readonly outcome: string;
  /** Phases that were started: none when everything was reused. */
  readonly started: number;
  readonly durationMs: number;
}

/** Submits a build, prints what happens, and resolves when it has ended. */
export async function followBuild(
  client: FarmClient,
  submission: Parameters<FarmClient['submit']>[0],
): Promise<FollowedBuild> {
  const start = systemClock.now();
  const { buildId } = await client.submit(submission);
  let started = 0;
  let outcome = 'failed';
  for await (const event of client.events(buildId)) {
    if (event.event === 'phase-started') started += 1;
    if (event.event === 'build-finished') outcome = event.outcome;
    console.log(`  ${describeEvent(event, buildId)}`);
  }
  return { outcome, started, durationMs: systemClock.now() - start };
}
