import type { Limits } from '../../common/contracts/builds.ts';
import { type Owners, termsOf } from '../../common/contracts/owners.ts';
import { HAD_HALF_MS } from '../../common/redis/slots.ts';

/** Resources of machines on a cluster; cores, bytes. */
export interface Size {
  readonly vms: number;
  readonly cpu: number;
  readonly memoryBytes: number;
}

/** Work of a build that counts for an owner. */
export interface Share extends Size {
  readonly owner: string;
  readonly build: string;
}

/** Machines that hold slots. */
export interface Running extends Share {
  readonly startedAt: number;
  /** Null: not known. */
  readonly endsAt: number | null;
}

/** Machines that wait for slots, all of them at once. */
export interface Waiting extends Share {
  readonly id: string;
  /** More goes first. */
  readonly urgency: number;
  /** Among the modules of a build: more goes first. */
  readonly priority: number;
  /** How long they are likely to hold their slots. */
  readonly lastsMs: number;
}

export interface Forecast {
  /** From 1. */
  readonly position: number;
  /** Null: not foreseeable. */
  readonly startsAt: number | null;
}

/** What the forecast is based on. */
export interface Situation {
  readonly limits: Limits;
  readonly owners: Owners;
  readonly now: number;
  /** How long machines of each owner held slots lately, as `readHad` returns it. */
  readonly had: ReadonlyMap<string, number>;
}

/**
 * In which order modules will get their machines, and when, if all lasts as long as expected and no other build is
 * submitted: plays the admission of `take.lua` without its ageing.
 */
export function forecast(
  { limits, owners, now, had: before }: Situation,
  running: readonly Running[],
  waiting: readonly Waiting[],
): ReadonlyMap<string, Forecast> {
  const found = new Map<string, Forecast>();
  const had = new Map(before);
  const slots = [...running].sort((a, b) => endOf(a) - endOf(b));
  const lines = linesOf(waiting);
  let time = now;
  while (found.size < waiting.length) {
    const line = nextLine(lines, slots, { limits, owners, had });
    const next = line?.pop();
    if (next) {
      const isForeseeable = Number.isFinite(time);
      found.set(next.id, { position: found.size + 1, startsAt: isForeseeable ? time : null });
      const slot = { ...next, startedAt: time, endsAt: isForeseeable ? time + next.lastsMs : null };
      const place = slots.findIndex((other) => endOf(other) > endOf(slot));
      slots.splice(place < 0 ? slots.length : place, 0, slot);
      continue;
    }
    const ended = slots.shift();
    // What never fits, because limits or quotas became smaller.
    if (!ended) break;
    time = Math.max(time, endOf(ended));
    // All that was had is forgotten at the same rate, so what comes later weighs more.
    const heldMs = ended.vms * (time - ended.startedAt) * 2 ** ((time - now) / HAD_HALF_MS);
    had.set(ended.owner, (had.get(ended.owner) ?? 0) + heldMs);
  }
  return found;
}

/** Entries that differ only in their critical path, the first one at the end. */
function linesOf(waiting: readonly Waiting[]): Waiting[][] {
  const lines = new Map<string, Waiting[]>();
  for (const one of waiting.toSorted((a, b) => a.priority - b.priority)) {
    const name = [one.urgency, one.owner, one.build, one.vms, one.cpu, one.memoryBytes].join('/');
    const line = lines.get(name);
    if (line) line.push(one);
    else lines.set(name, [one]);
  }
  return [...lines.values()];
}

function nextLine(
  lines: readonly Waiting[][],
  slots: readonly Share[],
  { limits, owners, had }: Omit<Situation, 'now'>,
): Waiting[] | undefined {
  const used = sum(slots);
  const held = sumsBy(slots, ({ owner }) => owner);
  const shares = sumsBy(slots, ({ build }) => build);
  let best: { readonly line: Waiting[]; readonly rank: readonly number[] } | undefined;
  for (const line of lines) {
    const first = line.at(-1);
    if (!first) continue;
    const { owner, build, urgency, priority } = first;
    const terms = termsOf(owners, owner);
    const own = held.get(owner);
    if (!fits(first, used, limits) || !fits(first, own, terms)) continue;
    const [share, lately] = [own?.vms ?? 0, had.get(owner) ?? 0].map((amount) => amount / terms.weight);
    const rank = [-urgency, share ?? 0, lately ?? 0, shares.get(build)?.vms ?? 0, -priority];
    if (!best || isBefore(rank, best.rank)) best = { line, rank };
  }
  return best?.line;
}

/** Usage by name. */
export function sumsBy(shares: readonly Share[], nameOf: (share: Share) => string): ReadonlyMap<string, Size> {
  const sums = new Map<string, Size>();
  for (const share of shares) {
    const name = nameOf(share);
    const former = sums.get(name);
    sums.set(name, former ? sum([former, share]) : share);
  }
  return sums;
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const place = a.findIndex((value, index) => value !== b[index]);
  return place >= 0 && (a[place] ?? 0) < (b[place] ?? 0);
}

type Bounds = { readonly [resource in keyof Size]?: number | undefined };

/** Whether `size` has room within `bounds` beside the present use. */
export function fits(size: Size, used: Size = { vms: 0, cpu: 0, memoryBytes: 0 }, bounds: Bounds = {}): boolean {
  return lacking(size, used, bounds).length === 0;
}

const RESOURCES = ['vms', 'cpu', 'memoryBytes'] as const;

/** The scarce resources. */
export function lacking(size: Size, used: Size, bounds: Bounds): (keyof Size)[] {
  return RESOURCES.filter((resource) => used[resource] + size[resource] > (bounds[resource] ?? Infinity) + 1e-9);
}

export function sum(sizes: readonly Size[]): Size {
  const total = { vms: 0, cpu: 0, memoryBytes: 0 };
  for (const size of sizes) for (const resource of RESOURCES) total[resource] += size[resource];
  return total;
}

function endOf({ endsAt }: Running): number {
  return endsAt ?? Infinity;
}
