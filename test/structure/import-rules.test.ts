import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';

const CONFIG = packagePath('.dependency-cruiser.json');

/** For each rule a file and what it imports against that rule. */
const BROKEN: Readonly<Record<string, readonly [file: string, imported: string]>> = {
  'no-circular': ['test/a.ts', 'test/b.ts'],
  'common-is-the-bottom-layer': ['common/redis/a.ts', 'scheduler/graph/z.ts'],
  'common-sources-never-use-the-harness': ['common/redis/b.ts', 'test/harness/z.ts'],
  'common-ground-floor-imports-nothing': ['common/text/a.ts', 'common/contracts/z.ts'],
  'contracts-import-errors-and-text-only': ['common/contracts/a.ts', 'common/clock/z.ts'],
  'common-middle-imports-nothing-above': ['common/config/a.ts', 'common/redis/z.ts'],
  'common-upper-rooms-stand-apart': ['common/kubernetes/a.ts', 'common/redis/z.ts'],
  'scheduler-and-workers-meet-only-in-common': ['scheduler/http/a.ts', 'workers/relay/z.ts'],
  'workers-and-scheduler-meet-only-in-common': ['workers/runtime/a.ts', 'scheduler/graph/z.ts'],
  'workers-ground-floor-imports-nothing-above': ['workers/context/a.ts', 'workers/relay/z.ts'],
  'workers-files-and-cluster-imports-nothing-above': ['workers/files/a.ts', 'workers/cluster/z.ts'],
  'workers-networks-imports-nothing-above': ['workers/networks/a.ts', 'workers/machines/z.ts'],
  'workers-machines-imports-nothing-above': ['workers/machines/a.ts', 'workers/guest/z.ts'],
  'workers-guest-imports-nothing-above': ['workers/guest/a.ts', 'workers/console/z.ts'],
  'workers-console-imports-nothing-above': ['workers/console/a.ts', 'workers/runtime/z.ts'],
  'workers-phases-imports-nothing-above': ['workers/phases/import/a.ts', 'workers/runtime/z.ts'],
  'no-phase-imports-another': ['workers/phases/import/b.ts', 'workers/phases/snapshot/z.ts'],
  'only-executors-import-phases': ['workers/runtime/b.ts', 'workers/phases/import/z.ts'],
  'graph-is-pure': ['scheduler/graph/a.ts', 'common/clock/z.ts'],
  'scheduler-ground-floor-imports-nothing': ['scheduler/dispatch/a.ts', 'scheduler/graph/z.ts'],
  'scheduler-planning-imports-nothing-above': ['scheduler/planning/a.ts', 'scheduler/builds/z.ts'],
  'scheduler-builds-imports-nothing-above': ['scheduler/builds/a.ts', 'scheduler/catalog/z.ts'],
  'scheduler-catalog-imports-nothing-above': ['scheduler/catalog/a.ts', 'scheduler/http/z.ts'],
  'embedded-knows-nothing-of-the-farm': ['embedded/api/a.ts', 'common/redis/z.ts'],
  'embedded-rooms-below-controllers-stand-apart': ['embedded/qemu/a.ts', 'embedded/network/z.ts'],
  'cli-speaks-http-or-plans-offline': ['cli/client/a.ts', 'common/kubernetes/z.ts'],
  'cli-commands-are-on-top': ['cli/output/a.ts', 'cli/commands/z.ts'],
  'dashboards-know-names-only': ['dashboards/grafana/a.ts', 'common/redis/z.ts'],
  'console-runs-in-a-browser': ['dashboards/console/a.ts', 'common/clock/z.ts'],
};

test('every import rule has a breach here', () => {
  const { forbidden } = JSON.parse(readFileSync(CONFIG, 'utf8'));
  expect(Object.keys(BROKEN).sort()).toEqual(forbidden.map(({ name }: { name: string }) => name).sort());
});

test('each import rule reports its breach, and names both files', () => {
  const root = mkdtempSync(join(tmpdir(), 'import-rules-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const breaches = Object.entries(BROKEN).map(([rule, [file, imported]]) => ({ rule, file, imported }));
  for (const { imported } of breaches) write(root, imported, '');
  // A circle needs an import of each file.
  write(root, 'test/b.ts', "import './a.ts';\n");
  for (const { file, imported } of breaches)
    write(root, file, `import '${relative(dirname(file), imported).replace(/^(?!\.)/, './')}';\n`);
  const reported = cruise(root).map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
  expect(reported).toEqual(
    expect.arrayContaining(breaches.map(({ rule, file, imported }) => `${rule}: ${file} -> ${imported}`)),
  );
});

function write(root: string, file: string, text: string): void {
  mkdirSync(join(root, dirname(file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

interface Violation {
  readonly rule: { readonly name: string };
  readonly from: string;
  readonly to: string;
}

function cruise(root: string): readonly Violation[] {
  const program = packagePath('node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const rooms = ['common', 'scheduler', 'workers', 'embedded', 'cli', 'dashboards', 'test'];
  const args = [program, '--config', CONFIG, '--output-type', 'json', ...rooms];
  // The JSON format reports violations in its result only: the exit code stays 0.
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })).summary.violations;
}
