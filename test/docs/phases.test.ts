import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { PHASES, type Phase } from '../../common/contracts/phases.ts';

/** Files that name every phase, and that neither the compiler nor a generator keeps complete. */
const PLACES: Readonly<Record<string, (phase: Phase) => RegExp>> = {
  'dashboards/console/style.css': (phase) => new RegExp(`^\\.phase-${phase} \\{$`, 'm'),
  'deploy/prometheus/prometheus.yml': (phase) => new RegExp(`names: \\[.*\\b${phase}\\b.*\\]`),
  'docs/architecture.md': (phase) => new RegExp(`^\\| \`${phase}\` \\|`, 'm'),
  'docs/glossary.md': (phase) => new RegExp(`^\\| phase \\|.*\`${phase}\``, 'm'),
};

test.each(Object.keys(PLACES))('%s names every phase', (file) => {
  const text = readFileSync(packagePath(file), 'utf8');
  expect(PHASES.filter((phase) => !PLACES[file]?.(phase).test(text))).toEqual([]);
});
