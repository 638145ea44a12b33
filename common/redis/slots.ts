import type { Redis } from 'ioredis';
import { z } from 'zod';
import { SLOT_STAGES, type SlotStage } from '../contracts/phases.ts';
import { KEYS } from './keys.ts';
import { readRedis, runScript } from './scripts.ts';

/** A machine of the farm as a cluster shows it. */
export interface ObservedVm {
  readonly layerBuild: string;
  readonly generation: number;
  readonly vm: string;
  readonly cpu: number;
  readonly memoryBytes: number;
}

/** A VM slot. */
export interface Slot {
  readonly layerBuild: string;
  readonly generation: number;
  readonly vm: string;
  readonly stage: SlotStage;
  readonly cpu: number;
  readonly memoryBytes: number;
}

/** State of a cluster, and the slots that it applies to. */
export interface ObservedCluster {
  readonly leaving: readonly Slot[];
  readonly running?: readonly Slot[];
  readonly observed: readonly ObservedVm[];
}

/** Usage of a cluster, machines without a slot included. */
export interface ClusterUsage {
  readonly imports: number;
  readonly vms: number;
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly slots: readonly Slot[];
}

const slotValue = /^(\S+) (\d+) (\d+) /;
const stageSchema = z.enum(SLOT_STAGES);

/** @throws RedisUnavailable */
export async function readUsage(redis: Redis, cluster: string): Promise<ClusterUsage> {
  const [imports, held, [vms, cpu, memory]] = await readRedis(
    Promise.all([
      redis.hlen(KEYS.imports(cluster)),
      redis.hgetall(KEYS.slots(cluster)),
      redis.hmget(KEYS.orphans(cluster), 'vms', 'cpu', 'memory'),
    ]),
  );
  const slots = Object.entries(held).map(readSlot);
  return {
    imports,
    vms: slots.length + Number(vms ?? 0),
    cpu: sum(slots.map((slot) => slot.cpu)) + Number(cpu ?? 0) / 1000,
    memoryBytes: sum(slots.map((slot) => slot.memoryBytes)) + Number(memory ?? 0),
    slots,
  };
}

/** Of what an owner had of a cluster, half is forgotten in this time; as in `slots.lua`. */
export const HAD_HALF_MS = 3_600_000;

/** How long machines of each owner held slots of a cluster lately: milliseconds, of which older ones count less. @throws RedisUnavailable */
export async function readHad(redis: Redis, cluster: string, now: number): Promise<ReadonlyMap<string, number>> {
  const held = await readRedis(redis.hgetall(KEYS.had(cluster)));
  return new Map(
    Object.entries(held).map(([owner, text]) => {
      const [ms = 0, at = now] = text.split(' ').map(Number);
      return [owner, ms * 0.5 ** ((now - at) / HAD_HALF_MS)];
    }),
  );
}

/** Ready imports and modules (whose machines start together) that wait for room. @throws RedisUnavailable */
export async function readWaiting(redis: Redis, cluster: string): Promise<{ imports: number; modules: number }> {
  const count = (kind: 'imports' | 'gangs') => redis.zcard(KEYS.waiting(cluster, kind));
  const [imports, modules] = await readRedis(Promise.all([count('imports'), count('gangs')]));
  return { imports, modules };
}

/**
 * Frees slots by the state of the cluster. `leaving`, and `running` of clones, must have been read before the cluster was
 * asked, so that a machine that was on its way when it was asked is never taken for gone. Returns how many slots were freed.
 * @throws RedisUnavailable
 */
export async function reportCluster(
  redis: Redis,
  cluster: string,
  { leaving, running = [], observed }: ObservedCluster,
): Promise<number> {
  const machines = observed.map((vm) => ({
    holder: holder(vm),
    cpu: Math.ceil(vm.cpu * 1000),
    memory: vm.memoryBytes,
  }));
  const reply = await runScript(redis, 'report-cluster', [
    cluster,
    JSON.stringify([...leaving, ...running].map(holder)),
    JSON.stringify(machines),
  ]);
  return z.int().parse(reply);
}

/**
 * Records whether the API of a cluster answers: null, or its error. While it does not, no job is dispatched to it, and its
 * modules lose only time. @throws RedisUnavailable
 */
export async function reportTrouble(redis: Redis, cluster: string, trouble: string | null): Promise<void> {
  await runScript(redis, 'report-trouble', [cluster, trouble ?? '']);
}

/** Null when the cluster was last seen in order. @throws RedisUnavailable */
export async function readTrouble(redis: Redis, cluster: string): Promise<string | null> {
  const trouble = await readRedis(redis.hget(KEYS.troubles, cluster));
  return trouble === null ? 'No scheduler has reached it yet.' : trouble || null;
}

function holder({ layerBuild, generation, vm }: Pick<Slot, 'layerBuild' | 'generation' | 'vm'>): string {
  return `${layerBuild}/${generation}/${vm}`;
}

function readSlot([name, value]: [string, string]): Slot {
  const [layerBuild = '', generation, vm = ''] = name.split('/');
  const [, stage, cpu, memory] = slotValue.exec(value) ?? [];
  return {
    layerBuild,
    generation: Number(generation),
    vm,
    stage: stageSchema.parse(stage),
    cpu: Number(cpu) / 1000,
    memoryBytes: Number(memory),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
