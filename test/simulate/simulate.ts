import { EQUAL_OWNERS } from '../../common/contracts/owners.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Dispatch } from '../../common/redis/dispatches.ts';
import { KEYS } from '../../common/redis/keys.ts';
import { type ObservedVm, readUsage, reportCluster, reportTrouble } from '../../common/redis/slots.ts';
import { submitBuild } from '../../common/redis/submissions.ts';
import { createDispatch } from '../../scheduler/dispatch/dispatcher.ts';
import { sampleFailure } from '../harness/farm-state.ts';
import { sampleLayerVm } from '../harness/sample-spec.ts';
import { startVirtualFarm } from '../harness/virtual-farm.ts';
import { EventQueue } from './event-queue.ts';
import { Ledger, type Report } from './ledger.ts';
import { draw, type Scenario, type SimulatedCluster } from './scenario.ts';

/** BullMQ hands a job out again when its worker has not been heard of for this long. */
const STALLED_MS = 30_000;
/** Until an outage is noticed, and until a machine that may go has gone. */
const NOTICE_MS = 10_000;
const STOP_MS = 5_000;
const RETENTION_MS = 30 * 24 * 3_600_000;

/**
 * Builds what a scenario has with the farm's own scripts and dispatchers, on a real Redis whose clock is stopped between
 * events: queues, workers, clusters and time are simulated.
 */
export async function simulate(scenario: Scenario): Promise<Report> {
  await using resources = new ReleaseStack();
  const { redis, time, store, logger } = await startVirtualFarm(resources);
  const plan = draw(scenario);
  const events = new EventQueue();
  const ledger = new Ledger(plan);
  let now = 0;

  const clusters = plan.clusters.map((cluster) => {
    const queue: Dispatch[] = [];
    const queues = { add: async (jobs: readonly Dispatch[]) => void queue.push(...jobs) };
    const look = createDispatch({ redis, queues, logger, owners: EQUAL_OWNERS }, cluster);
    return { cluster, queue, look, machines: new Map<string, ObservedVm>(), due: Number.POSITIVE_INFINITY };
  });
  type Place = (typeof clusters)[number];

  const isAway = ({ outage }: SimulatedCluster) => outage !== null && now >= outage.from && now < outage.until;

  /** Dispatches until nothing more is ready, and hands every job to a worker. */
  async function dispatch(place: Place): Promise<void> {
    for (let again: number | null = 0; again === 0; ) {
      again = await place.look();
      for (let job = place.queue.shift(); job; job = place.queue.shift()) await begin(place, job);
      const at = now + (again ?? 0);
      if (again === null || again === 0 || place.due <= at) continue;
      place.due = at;
      events.add(at, async () => {
        place.due = Number.POSITIVE_INFINITY;
        await dispatch(place);
      });
    }
  }

  async function begin(place: Place, job: Dispatch): Promise<void> {
    const claim = await store.claim(job.reference, `w-${place.cluster.name}`);
    if (!claim) return;
    const { layerBuild, generation, vm, phase } = claim.job;
    ledger.began(claim.job, now);
    if (phase === 'boot-keystrokes') {
      place.machines.set(`${layerBuild}/${generation}/${vm}`, { ...claim.job, cpu: 1, memoryBytes: 1024 ** 3 });
      ledger.showed(place.cluster, place.machines.size);
    }
    const lasts = plan.times.get(`${layerBuild}/${vm}`)?.[phase] ?? 0;
    if (plan.random() < scenario.losses) {
      events.add(now + lasts / 2 + STALLED_MS, () => begin(place, job));
      return;
    }
    events.add(now + lasts, () => end(place, claim));
  }

  async function end(place: Place, claim: PhaseClaim): Promise<void> {
    const { vm, phase } = claim.job;
    const { outage } = place.cluster;
    if (outage && isAway(place.cluster)) {
      // Half of those that need the cluster give up on it, the others hang until it is back.
      if (plan.random() < 0.5) {
        events.add(outage.until + NOTICE_MS, () => end(place, claim));
        return;
      }
      await store.commit(claim, { outcome: 'failed', failure: sampleFailure('Fault') });
    } else {
      const layer = phase === 'snapshot' ? { layerVm: sampleLayerVm(vm, `s-${claim.job.layerBuild}-${vm}`) } : {};
      await store.commit(claim, { outcome: 'succeeded', ...layer });
      ledger.ended(claim.job, now);
    }
    await dispatch(place);
    if (phase === 'snapshot') events.add(now + STOP_MS, () => stopMachines(place));
  }

  /** Machines that may go are gone; the cluster shows it when it answers. */
  async function stopMachines(place: Place): Promise<void> {
    const { name, outage } = place.cluster;
    if (outage && isAway(place.cluster)) {
      events.add(outage.until + NOTICE_MS, () => stopMachines(place));
      return;
    }
    const { slots, vms } = await readUsage(redis, name);
    ledger.counted(place.cluster, vms);
    const leaving = slots.filter(({ stage }) => stage === 'leaving');
    for (const slot of leaving) {
      place.machines.delete(`${slot.layerBuild}/${slot.generation}/${slot.vm}`);
      ledger.freed(slot, now);
    }
    await reportCluster(redis, name, { leaving, observed: [...place.machines.values()] });
    await dispatch(place);
  }

  for (const place of clusters) {
    const { name, outage, builds } = place.cluster;
    for (const phase of PHASES)
      await redis.hset(KEYS.workers(name), `${phase satisfies Phase}/w`, '1000 9000000000000000');
    for (const [owner, modules] of builds) {
      const buildId = `${owner}-${name}`.padStart(26, '0');
      const reply = await submitBuild(redis, {
        ...{ buildId, idempotencyKey: null, digest: '', retentionMs: RETENTION_MS, modules, submittedBy: owner },
      });
      assert(reply.outcome === 'accepted', 'The graph is accepted.');
    }
    events.add(0, () => dispatch(place));
    if (!outage) continue;
    events.add(outage.from + NOTICE_MS, () => reportTrouble(redis, name, 'It does not answer.'));
    events.add(outage.until + NOTICE_MS, async () => {
      await reportTrouble(redis, name, null);
      await dispatch(place);
    });
  }
  for (let event = events.next(); event; event = events.next()) {
    const at = Math.max(now, Math.round(event.at));
    if (at > now) await time.pass(at - now);
    now = at;
    await event.run();
  }
  const states = await Promise.all(
    [...(await redis.zrange(KEYS.builds, 0, '-1'))].map((build) => redis.hget(KEYS.build(build), 'state')),
  );
  return ledger.report(now, states.filter((state) => state !== 'succeeded').length);
}
