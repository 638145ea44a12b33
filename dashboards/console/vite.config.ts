import { defineConfig } from 'vite';

/** The console as static files: `index.html`, and assets whose names carry a hash of their content. */
export default defineConfig({
  build: {
    outDir: '../../dist/dashboards/console',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy forbids inlined assets; the one chunk that is loaded later has nothing to preload.
    assetsInlineLimit: 0,
    modulePreload: false,
    // What the scripts are made of, and its licences; served beside them.
    license: { fileName: 'assets/licenses.md' },
  },
});
