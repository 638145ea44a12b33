import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { packagePath } from '../../common/config/package-root.ts';

/** Names the test process that a container belongs to. */
export const LABEL = 'slipway.dev/test-process';

/** Waits for the end of its input and removes the containers that have the label of its argument. */
const GUARD = `
  import { getContainerRuntimeClient } from 'testcontainers';
  for await (const _ of process.stdin);
  const { dockerode } = (await getContainerRuntimeClient()).container;
  const left = await dockerode.listContainers({ all: true, filters: { label: [process.argv[1]] } });
  await Promise.all(left.map(({ Id }) => dockerode.getContainer(Id).remove({ force: true, v: true })));
`;

let ours: string | undefined;

/**
 * The value that containers of this process have as their `LABEL`: a container with it is removed when this process has
 * ended, however it ended. testcontainers' own way is a reaper in an image that it would pull; here it is a process on
 * this host that notices the end by a closed pipe.
 */
export function removeContainersAtTheEnd(): string {
  if (ours !== undefined) return ours;
  ours = randomUUID();
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const args = ['--input-type=module', '--eval', GUARD, `${LABEL}=${ours}`];
  // Detached: a signal to the group of the tests is none to the guard.
  const guard = spawn(process.execPath, args, {
    cwd: packagePath(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.unref();
  (guard.stdin as Socket).unref();
  return ours;
}
