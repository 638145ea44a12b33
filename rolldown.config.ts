import { existsSync } from 'node:fs';
import { defineConfig } from 'rolldown';

/** What is started as a process of its own. The image of the farm is built without the tests. */
const PROGRAMS = [
  'cli/main',
  'scheduler/main',
  'scheduler/planning/planning-thread',
  'scheduler/exports/export-thread',
  'workers/main',
  'workers/relay/main',
  'embedded/main',
  'embedded/exports/export-thread',
  'embedded/pods/pod-supervisor',
  'embedded/storage/import-main',
  'test/demo/main',
  'test/cluster/main',
].filter((entry) => existsSync(`${entry}.ts`));

/**
 * Left out: libraries that read files of their own at run time or whose scripts are not strict, the one that they share
 * with us, and one of the tests.
 */
const BESIDE = [/^@bull-board\//, 'express', 'pino', 'piscina', 'rfb2', 'ssh2', 'testcontainers'];

/**
 * Compiles the farm into `dist`. With the libraries inside, a process starts in half the time: the Kubernetes client
 * alone is hundreds of files, of which a farm needs a few.
 */
export default defineConfig({
  input: Object.fromEntries(PROGRAMS.map((entry) => [entry, `${entry}.ts`])),
  platform: 'node',
  transform: { target: 'node20.19' },
  external: BESIDE,
  output: { dir: 'dist', cleanDir: true, chunkFileNames: 'chunks/[name]-[hash].js', sourcemap: true },
});
