import { createRandom } from '../bench/random-graph.ts';

/** Shortest and longest pause before an action, ms. */
const PAUSES_MS = [500, 4_000] as const;
/** Of `createRandom`: what its seeds must be below. */
const SEEDS = 2_147_483_647;

/** One thing that is done to a farm. */
export interface Action {
  readonly name: string;
  readonly pauseMs: number;
  /** Decides to which process, and for how long. What is drawn from it changes no later action. */
  readonly random: () => number;
}

/** Actions without end: each name once, then each again in another order. The same seed gives the same ones. */
export function* planActions(names: readonly string[], seed: number): Generator<Action, never> {
  // Neighbouring seeds would begin alike.
  const random = createRandom(1 + ((Math.abs(seed) * 1_000_003) % (SEEDS - 1)));
  const [shortest, longest] = PAUSES_MS;
  while (true) {
    for (const name of shuffled(names, random)) {
      const pauseMs = shortest + random() * (longest - shortest);
      yield { name, pauseMs, random: createRandom(1 + Math.floor(random() * (SEEDS - 1))) };
    }
  }
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  const keyed = all.map((one) => ({ one, place: random() }));
  return keyed.toSorted((a, b) => a.place - b.place).map(({ one }) => one);
}
