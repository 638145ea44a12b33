import type { Redis } from 'ioredis';
import type { Limits } from '../../common/contracts/builds.ts';
import { type Owners, termsOf } from '../../common/contracts/owners.ts';
import type { Wait } from '../../common/contracts/waiting.ts';
import {
  type AdmissionRecord,
  readAdmissions,
  readImportMs,
  readWaitingEntries,
} from '../../common/redis/admission-queue.ts';
import type { StoredBuild } from '../../common/redis/builds.ts';
import { type ClusterControl, type ConfiguredCluster, readControl } from '../../common/redis/cluster-control.ts';
import type { PhaseRecord, StoredLayerBuild } from '../../common/redis/layer-builds.ts';
import { readHad, readTrouble, readUsage } from '../../common/redis/slots.ts';
import { buildView } from '../builds/views.ts';
import { forecast, lacking, type Running, type Size, sumsBy } from '../dispatch/forecast.ts';

/** Input of the explanation. */
export interface ExplainOptions {
  readonly redis: Redis;
  readonly clusters: readonly ConfiguredCluster[];
  readonly owners: Owners;
}

/** The wait of each module of a build that does not progress. @throws RedisUnavailable */
export async function explainWaiting(
  options: ExplainOptions,
  { build, layerBuilds }: { readonly build: StoredBuild; readonly layerBuilds: ReadonlyMap<string, StoredLayerBuild> },
  now: number,
): Promise<Wait[]> {
  const open = buildView(build, layerBuilds).modules.filter(({ state }) => state === 'queued' || state === 'running');
  const unfinished = new Set(open.map(({ name }) => name));
  const names = new Set(open.flatMap(({ cluster }) => cluster ?? []));
  const known = options.clusters.filter(({ name }) => names.has(name));
  const lines = await Promise.all(
    known.map(async (cluster) => [cluster.name, await readLine(options, cluster, now)] as const),
  );
  const lineOf = new Map(lines);
  return open.flatMap(({ name, dependsOn, layerBuild, vms }) => {
    const stored = layerBuilds.get(layerBuild ?? '');
    if (!stored) return [];
    const parents = dependsOn.filter((parent) => unfinished.has(parent));
    if (parents.length > 0) return [waitOf(name, { kind: 'parents', why: `the images of ${parents.join(', ')}` })];
    const line = lineOf.get(stored.cluster);
    if (!line) return [];
    if (line.trouble !== null) return [waitOf(name, { kind: 'cluster', why: line.trouble })];
    const gang = line.gangs.get(stored.id);
    if (gang) return [waitOf(name, gang)];
    return vms.flatMap(({ vm, handbuild }) => {
      if (handbuild) return [waitOf(name, { vm, kind: 'person', why: 'a person', since: handbuild.since })];
      return [...stored.phases].flatMap(([field, phase]) => {
        if (!field.startsWith(`${vm}/`)) return [];
        const wait = phaseWait(line, { member: `${stored.id}/${field}`, phase, now });
        return wait ? [waitOf(name, { vm, ...wait })] : [];
      });
    });
  });
}

type Waited = Pick<Wait, 'kind' | 'why'> & Partial<Wait>;

function waitOf(module: string, wait: Waited): Wait {
  return { vm: null, since: null, position: null, of: null, expectedAt: null, ...wait, module };
}

/** Entries of a cluster that wait for admission. */
interface Line {
  /** Reason why the cluster admits none of them. */
  readonly trouble: string | null;
  readonly gangs: ReadonlyMap<string, Waited>;
  readonly imports: ReadonlyMap<string, Waited>;
}

async function readLine(options: ExplainOptions, cluster: ConfiguredCluster, now: number): Promise<Line> {
  const control = await readControl(options.redis, cluster);
  const as = { ...cluster, limits: control.limits };
  const [trouble, gangs, imports] = await Promise.all([
    readTrouble(options.redis, cluster.name),
    readGangs(options, as, now),
    readImports(options, as, now),
  ]);
  const line = { trouble: pausedBy(cluster, control) ?? troubleOf(cluster, trouble), gangs, imports };
  if (control.mode !== 'draining') return line;
  const drained = (waits: ReadonlyMap<string, Waited>) => {
    const why = `the cluster "${cluster.name}", which is being drained by ${control.changed?.by}`;
    return new Map([...waits].map(([id, { since = null }]) => [id, { kind: 'cluster' as const, why, since }]));
  };
  return { ...line, gangs: drained(gangs), imports: drained(imports) };
}

function pausedBy({ name }: ConfiguredCluster, { mode, changed }: ClusterControl): string | null {
  return mode === 'paused' ? `the cluster "${name}", which ${changed?.by} has paused` : null;
}

function troubleOf({ name }: ConfiguredCluster, trouble: string | null): string | null {
  return trouble === null ? null : `the cluster "${name}": ${trouble}`;
}

async function readGangs({ redis, owners }: ExplainOptions, cluster: ConfiguredCluster, now: number) {
  const { name, limits } = cluster;
  const [{ slots, ...usage }, { entries, count }, had] = await Promise.all([
    readUsage(redis, name),
    readWaitingEntries(redis, name, 'gangs'),
    readHad(redis, name, now),
  ]);
  if (entries.length === 0) return new Map<string, Waited>();
  const [waiting, holders] = await Promise.all([
    readAdmissions(
      redis,
      entries.map(({ member }) => member),
    ),
    readAdmissions(redis, [...new Set(slots.map(({ layerBuild }) => layerBuild))]),
  ]);
  const usualMs = meanOf([...waiting, ...holders]);
  const holderOf = new Map(holders.map((holder) => [holder.id, holder]));
  const running = slots.map(({ layerBuild, cpu, memoryBytes }): Running => {
    const { owner = '', build = '', ...times }: Partial<AdmissionRecord> = holderOf.get(layerBuild) ?? {};
    const startedAt = times.admittedAt ?? now;
    return { owner, build, vms: 1, cpu, memoryBytes, startedAt, endsAt: endOf(times, usualMs, now) };
  });
  const expected = forecast(
    { limits, owners, now, had },
    running,
    waiting.map((one) => ({ ...one, lastsMs: one.lastsMs ?? usualMs ?? 1 })),
  );
  const held = sumsBy(running, ({ owner }) => owner);
  const sinceOf = new Map(entries.map(({ member, since }) => [member, since]));
  return new Map(
    waiting.map((one): [string, Waited] => {
      const { position = null, startsAt = null } = expected.get(one.id) ?? {};
      const why = whyNot(one, { limits, usage, owners, held: held.get(one.owner) ?? NOTHING });
      const expectedAt = usualMs === null ? null : startsAt;
      return [one.id, { ...why, since: sinceOf.get(one.id) ?? null, position, of: count, expectedAt }];
    }),
  );
}

const NOTHING: Size = { vms: 0, cpu: 0, memoryBytes: 0 };
const GiB = 1024 ** 3;
const WORDS: Readonly<Record<keyof Size, (amount: number) => string>> = {
  vms: (amount) => `${amount} ${amount === 1 ? 'machine' : 'machines'}`,
  cpu: (amount) => `${Number(amount.toFixed(2))} ${amount === 1 ? 'core' : 'cores'}`,
  memoryBytes: (amount) => `${Number((amount / GiB).toFixed(1))} GiB of memory`,
};

interface Room {
  readonly limits: Limits;
  readonly usage: Omit<Size, never>;
  readonly owners: Owners;
  readonly held: Size;
}

function whyNot(one: AdmissionRecord, { limits, usage, owners, held }: Room): Pick<Wait, 'kind' | 'why'> {
  const [quota] = lacking(one, held, termsOf(owners, one.owner));
  if (quota) {
    const most = WORDS[quota](termsOf(owners, one.owner)[quota] ?? 0);
    return {
      kind: 'quota',
      why: `the quota of "${one.owner}": it holds ${WORDS[quota](held[quota])} of at most ${most}`,
    };
  }
  const [short] = lacking(one, usage, limits);
  const needs = WORDS[short ?? 'vms'](one[short ?? 'vms']);
  const why = short
    ? `room for ${needs}: ${WORDS[short](usage[short])} of ${WORDS[short](limits[short])} are in use`
    : `its turn, or workers with room for ${needs}`;
  return { kind: 'machines', why };
}

/** Unknown durations are estimated by those of the others. */
function endOf(
  { admittedAt = null, runUntil = null, lastsMs = null }: Partial<AdmissionRecord>,
  usualMs: number | null,
  now: number,
): number | null {
  if (runUntil !== null) return runUntil;
  const lasts = lastsMs ?? usualMs;
  return admittedAt === null || lasts === null ? null : Math.max(now, admittedAt + lasts);
}

function meanOf(records: readonly AdmissionRecord[]): number | null {
  const known = records.flatMap(({ lastsMs }) => lastsMs ?? []);
  return known.length === 0 ? null : known.reduce((total, ms) => total + ms, 0) / known.length;
}

async function readImports({ redis }: ExplainOptions, { name, limits }: ConfiguredCluster, now: number) {
  const [{ entries, count }, importMs] = await Promise.all([
    readWaitingEntries(redis, name, 'imports'),
    readImportMs(redis, name),
  ]);
  const why = `one of ${limits.imports} places for imports, or until fewer imported modules wait for machines`;
  return new Map(
    entries.map(({ member, since }, index): [string, Waited] => {
      const rounds = Math.ceil((index + 1) / limits.imports);
      const expectedAt = importMs === null ? null : now + rounds * importMs;
      return [member, { kind: 'import', why, since, position: index + 1, of: count, expectedAt }];
    }),
  );
}

function phaseWait(
  { imports }: Line,
  { member, phase, now }: { readonly member: string; readonly phase: PhaseRecord; readonly now: number },
): Waited | undefined {
  const admission = imports.get(member);
  if (admission) return admission;
  const name = member.slice(member.lastIndexOf('/') + 1);
  const since = phase.readyAt ?? null;
  if (phase.state === 'queued') return { kind: 'worker', why: `a free ${name} worker`, since };
  if (phase.state !== 'ready') return undefined;
  if (since !== null && since > now) return { kind: 'retry', why: `its next try of ${name}`, expectedAt: since };
  return { kind: 'worker', why: `a scheduler that dispatches ${name}`, since };
}
