import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import { PHASE_SECONDS } from '../../common/contracts/phases.ts';
import { planSchema } from '../../common/contracts/plans.ts';
import { catalogOf } from '../../test/harness/layer-factory.ts';
import { buildRef, compiledModule, shell } from '../../test/harness/module-factory.ts';
import { expandGraph, type GraphOptions } from './expand.ts';
import { type Catalog, EMPTY_CATALOG, offlineFacts } from './facts.ts';

/** Any acyclic graph: each VM of module n is blank or starts from some VM of a module before it. */
const dag = fc
  .array(fc.array(fc.option(fc.tuple(fc.nat(), fc.nat())), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 16,
  })
  .map((shapes) =>
    shapes.map((vms, n) =>
      compiledModule({
        name: `m${n}`,
        vms: vms.map((choice, v) => {
          const steps = [shell(`echo m${n}`)];
          if (choice === null || n === 0) return { name: `v${v}`, steps };
          const parent = choice[0] % n;
          return {
            name: `v${v}`,
            steps,
            source: buildRef(`m${parent}`, `v${choice[1] % (shapes[parent]?.length ?? 1)}`),
          };
        }),
      }),
    ),
  );

const shuffledDag = dag.chain((modules) =>
  fc.record({ modules: fc.constant(modules), shuffled: fc.shuffledSubarray(modules, { minLength: modules.length }) }),
);

const partlyBuiltDag = dag.chain((modules) =>
  fc.record({ modules: fc.constant(modules), built: fc.subarray(modules) }),
);

function expand(modules: readonly CompiledModule[], catalog: Catalog = EMPTY_CATALOG, options: GraphOptions = {}) {
  return expandGraph({ modules, catalog, options, facts: offlineFacts(modules), fingerprint: String });
}

function parentNames(module: CompiledModule): Set<string> {
  return new Set(module.vms.flatMap(({ source }) => (source.kind === 'buildRef' ? source.module : [])));
}

describe('a plan of any acyclic graph', () => {
  test('has four jobs per VM, each after all that it waits for', () => {
    fc.assert(
      fc.property(shuffledDag, ({ shuffled }) => {
        const { plan } = expand(shuffled);
        expect(planSchema.parse(plan)).toEqual(plan);
        const vms = shuffled.reduce((sum, module) => sum + module.vms.length, 0);
        expect(plan.totals).toEqual({ modules: shuffled.length, jobs: 4 * vms });
        const seen = new Set<string>();
        for (const row of plan.modules) {
          for (const job of row.jobs) {
            expect(job.dependsOn.filter((id) => !seen.has(id))).toEqual([]);
            expect(seen.has(job.id)).toBe(false);
            seen.add(job.id);
          }
        }
      }),
    );
  });

  test('lets every import wait for all snapshots of all parents, and every snapshot for its whole module', () => {
    fc.assert(
      fc.property(shuffledDag, ({ modules, shuffled }) => {
        const rows = new Map(expand(shuffled).plan.modules.map((row) => [row.name, row]));
        const jobs = (name: string, phase: string) => rows.get(name)?.jobs.filter((job) => job.phase === phase) ?? [];
        const ids = (name: string, phase: string) => jobs(name, phase).map((job) => job.id);
        for (const module of modules) {
          const parents = [...parentNames(module)];
          const snapshots = parents.flatMap((name) => ids(name, 'snapshot')).sort();
          expect(rows.get(module.name)?.dependsOn.toSorted()).toEqual(parents.sort());
          for (const job of jobs(module.name, 'import')) expect(job.dependsOn.toSorted()).toEqual(snapshots);
          for (const job of jobs(module.name, 'snapshot')) expect(job.dependsOn).toEqual(ids(module.name, 'provision'));
        }
      }),
    );
  });

  test('has a critical path along dependencies that no other chain of jobs outlasts', () => {
    fc.assert(
      fc.property(partlyBuiltDag, ({ modules, built }) => {
        const { plan } = expand(modules, catalogOf(expand(modules), built));
        const jobs = new Map(plan.modules.flatMap((row) => row.jobs.map((job) => [job.id, job])));
        const longest = new Map<string, number>();
        for (const job of jobs.values()) {
          const before = job.dependsOn.map((id) => longest.get(id) ?? 0);
          longest.set(job.id, Math.max(0, ...before) + PHASE_SECONDS[job.phase]);
        }
        const path = plan.criticalPath.flatMap((id) => jobs.get(id) ?? []);
        path.forEach((job, index) => {
          const before = path[index - 1];
          if (before) expect(job.dependsOn).toContain(before.id);
        });
        const seconds = path.reduce((sum, job) => sum + PHASE_SECONDS[job.phase], 0);
        expect(seconds).toBe(Math.max(0, ...longest.values()));
      }),
    );
  });

  test('gives the same keys for any order of the files', () => {
    const keys = (modules: readonly CompiledModule[]) =>
      Object.fromEntries(expand(modules).plan.modules.map((row) => [row.name, row.layerKey]));
    fc.assert(
      fc.property(shuffledDag, ({ modules, shuffled }) => {
        expect(keys(shuffled)).toEqual(keys(modules));
      }),
    );
  });

  test('reuses exactly the modules that are there with all their parents, and no job waits for theirs', () => {
    fc.assert(
      fc.property(partlyBuiltDag, ({ modules, built }) => {
        const { plan } = expand(modules, catalogOf(expand(modules), built));
        const reused = plan.modules.filter((row) => row.action === 'reuse').map((row) => row.name);
        const whole = new Set<string>();
        for (const module of modules) {
          const isWhole = built.includes(module) && [...parentNames(module)].every((name) => whole.has(name));
          if (isWhole) whole.add(module.name);
        }
        expect(reused.sort()).toEqual([...whole].sort());
        const left = modules.filter((module) => !whole.has(module.name));
        expect(plan.totals.jobs).toBe(4 * left.reduce((sum, module) => sum + module.vms.length, 0));
        const ids = new Set(plan.modules.flatMap((row) => row.jobs.map((job) => job.id)));
        expect(
          plan.modules.flatMap((row) => row.jobs.flatMap((job) => job.dependsOn)).filter((id) => !ids.has(id)),
        ).toEqual([]);
      }),
    );
  });
});

test('what is imported as it is gets its disk and a snapshot, and is another layer than what booted', () => {
  const source = { kind: 'url', url: 'https://x.test/disk.qcow2', credentials: null, checksum: null } as const;
  const vms = [{ source }];
  const imported = compiledModule({ name: 'base', vms, imported: true });
  const { plan, layers } = expand([imported]);
  expect(plan.modules[0]?.jobs.map(({ id, dependsOn }) => [id, dependsOn])).toEqual([
    ['base.main.import', []],
    ['base.main.snapshot', ['base.main.import']],
  ]);
  // As large as what is brought.
  expect(layers['base']?.spec?.vms[0]?.disks.map(({ sizeBytes }) => sizeBytes)).toEqual([null]);
  const built = expand([compiledModule({ name: 'base', vms })]).layers['base'];
  expect(built?.spec?.vms[0]?.disks.map(({ sizeBytes }) => sizeBytes)).toEqual([20 * 2 ** 30]);
  expect(built?.recipeKey).not.toBe(layers['base']?.recipeKey);
});
