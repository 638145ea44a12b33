import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readModuleFiles } from '../../cli/read-modules.ts';
import { packagePath } from '../../common/config/package-root.ts';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { foundOnDisk } from '../harness/captured-disk.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import { remainingObjects, untilShown, watchMachines } from '../harness/kubectl.ts';

const BUILD_MS = 400_000;
const NAMESPACED = ['virtualmachines', 'virtualmachineinstances', 'datavolumes', 'pods', 'secrets'];
/** The worker has left the guest of the machine, which is still up. */
const CLEANED = {
  ...{ namespace: 'slipway', resource: 'virtualmachines', value: 'cleaned' },
  field: '.metadata.annotations.slipway\\.dev/guest-left',
};
const TOKEN = randomBytes(24).toString('hex');
const NETWORKS = ['vpcs', 'subnets', 'network-attachment-definitions'];

describe('a layered graph whose workers are killed', () => {
  let farm: TestFarm;
  let media: ServedFile;
  let events: StoredEvent[];

  beforeAll(async () => {
    const { installerIso } = await guestImages();
    media = await serveFile(installerIso);
    farm = await startFarm({ flags: ['--vms', '2'] });
    await farm.client.setSecret('token', TOKEN);
  }, 120_000);

  afterAll(async () => {
    await farm?.purge();
    await media?.stop();
  }, 60_000);

  test('is built, with a worker of every phase killed, one between two marks of its leaving, and never more than two machines', {
    timeout: BUILD_MS,
  }, async () => {
    const machines = watchMachines(farm.connection.kubeconfig, 'slipway');
    const left = untilShown(farm.connection.kubeconfig, CLEANED).then((machine) => {
      killWorker(farm, 'provision');
      return machine;
    });
    const { buildId } = await farm.client.submit(submission());
    const alive = new Set<Phase>(PHASES);
    let picture: string | undefined;
    events = [];
    for await (const event of farm.client.events(buildId)) {
      events.push(event);
      if (event.event === 'step-started') picture ??= await screenOf(farm, { buildId, vm: event.vm });
      const phase = killedBy(event);
      if (phase && alive.delete(phase)) killWorker(farm, phase);
    }
    await machines.stop();
    expect(events.at(-1)).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
    expect([...alive]).toEqual([]);
    expect(machines.seen()).toContain(await left);
    expect(picture).toBe('PNG');
    expect(machines.seen().size).toBeGreaterThanOrEqual(5);
    expect(machines.peak()).toBeLessThanOrEqual(2);
  });

  test('has run every step exactly once', () => {
    const journal = (vm: string) =>
      events.flatMap((event) =>
        event.event === 'log' && event.line.startsWith(`journal of ${vm}: `) ? [event.line.split(': ')[1]] : [],
      );
    expect(journal('store')).toEqual(['base-1', 'base-2', 'db-1']);
    expect(journal('front')).toEqual(['base-1', 'base-2', 'web-1']);
  });

  test('has left nothing of a step with a secret on its disk, though its worker was killed', {
    timeout: 300_000,
  }, async () => {
    const lines = events.flatMap((event) => (event.event === 'log' ? [event.line] : []));
    expect(lines).toContain('the token is known');
    const journal = 'base-1\nbase-2';
    expect(await foundOnDisk(farm, 'base', [TOKEN, journal])).toEqual([journal]);
  });

  test('leaves nothing of the builds on the cluster', async () => {
    for (const kind of [...NAMESPACED, ...NETWORKS]) {
      expect(await remainingObjects(farm.connection.kubeconfig, kind, 'slipway.dev/role=build'), kind).toEqual([]);
    }
  });

  test('is reused as a whole the second time, without a machine', async () => {
    const machines = watchMachines(farm.connection.kubeconfig, 'slipway');
    const { buildId, plan } = await farm.client.submit(submission());
    expect(plan.modules.map(({ name, action }) => [name, action])).toEqual(
      ['base', 'web', 'db', 'app'].map((name) => [name, 'reuse']),
    );
    let last: StoredEvent | undefined;
    for await (const event of farm.client.events(buildId)) last = event;
    await machines.stop();
    expect(last).toMatchObject({ event: 'build-finished', outcome: 'succeeded' });
    expect(machines.peak()).toBe(0);
  });

  function submission() {
    return {
      files: readModuleFiles([packagePath('test', 'e2e', 'modules', 'journal.yaml')]),
      variables: { ISO_URL: media.url, ISO_SHA256: media.sha256 },
    };
  }
});

/** The moment at which the worker of a phase dies: in the middle of a step for provisioners, else as the phase begins. */
function killedBy(event: StoredEvent): Phase | undefined {
  if (event.event === 'step-started') return 'provision';
  return event.event === 'phase-started' && event.phase !== 'provision' ? event.phase : undefined;
}

/** The format of the picture that the API gives of a machine. */
async function screenOf({ connection }: TestFarm, { buildId, vm }: { buildId: string; vm: string }): Promise<string> {
  const { url, token } = connection;
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${url}/api/v1/builds/${buildId}/vms/${vm}/screenshot`, { headers });
  return Buffer.from(await response.arrayBuffer()).toString('latin1', 1, 4);
}

function killWorker(farm: TestFarm, phase: Phase): void {
  for (const pid of farm.current().pids[phase] ?? []) process.kill(pid, 'SIGKILL');
}
