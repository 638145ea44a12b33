import { defineConfig } from 'vite';

/** The console as static files: `index.html`, and assets whose names carry a hash of their content. */
export default defineConfig({
  build: {
    outDir: '../../dist/dashboards/console',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy forbids inlined assets; the only lazy chunk needs no preload.
    assetsInlineLimit: 0,
    modulePreload: false,
    // Dependencies of the scripts with their licences; served beside them.
    license: { fileName: 'assets/licenses.md' },
  },
});
