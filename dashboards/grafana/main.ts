import { mkdirSync, writeFileSync } from 'node:fs';
import { generatedFiles } from './pages.ts';

/* Writes the JSON that Grafana reads from the metric table and the pages here: `npx tsx dashboards/grafana/main.ts`. */
for (const [file, content] of generatedFiles()) {
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, content);
  process.stdout.write(`Wrote ${file.pathname}\n`);
}
