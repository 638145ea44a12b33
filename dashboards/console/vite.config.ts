import { defineConfig } from 'vite';

/** The console as static files: `index.html`, and assets whose names carry a hash of their content. */
export default defineConfig({
  build: {
    outDir: '../../dist/dashboards/console',
    emptyOutDir: true,
    target: 'es2022',
    // Inlined assets and preloading need what the content security policy forbids or do nothing for one chunk.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
