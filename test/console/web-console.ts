import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import type { PhaseClaim } from '../../common/contracts/phase-store.ts';
import type { TokenRole } from '../../common/contracts/tokens.ts';
import { type LiveApi, MODULES, startApi } from '../api/live-api.ts';
import { startBrowser } from '../harness/browser.ts';
import { keepPicture, violationsOf } from '../harness/console-page.ts';

const WAIT_MS = 20_000;

export const SUBMISSION = { files: [{ path: 'lab.yaml', text: MODULES }], variables: {} };

/** Output of a guest that attacks the viewer, and the same as pages show it. */
export const HOSTILE =
  '\u001b]0;owned\u0007<script>document.title="owned"</script><img src=x onerror=alert(1)> \u001b[31mred';
export const HARMLESS = '<script>document.title="owned"</script><img src=x onerror=alert(1)> red';

/** One grey pixel. */
export const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==',
  'base64',
);

/** A scheduler with the web console, and a browser with a page of its own for each test. */
export class WebConsole {
  readonly folder = mkdtempSync(join(tmpdir(), 'slipway-console-'));
  api!: LiveApi;
  context!: BrowserContext;
  page!: Page;
  /** Hosts that pages have requested. */
  requested = new Set<string>();
  /** Errors and warnings of pages. */
  complaints: string[] = [];
  #browser!: Browser;

  async start(): Promise<void> {
    const root = packagePath('dashboards', 'console');
    await build({ root, configFile: join(root, 'vite.config.ts'), logLevel: 'warn', build: { outDir: this.folder } });
    this.api = await startApi({}, this.folder);
    this.#browser = await startBrowser();
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.api?.close();
    rmSync(this.folder, { recursive: true });
  }

  async reset(): Promise<void> {
    await this.api.reset();
    this.context = await this.#browser.newContext();
    this.context.setDefaultTimeout(WAIT_MS);
    this.requested = new Set();
    this.complaints = [];
    this.context.on('request', (request) => this.requested.add(new URL(request.url()).origin));
    this.context.on('console', (message) => {
      // The browser itself reports every 404: a machine that has just started has no picture.
      const isNoPicture = message.location().url.includes('/screenshot') && message.text().includes('404');
      const isComplaint = message.type() === 'error' || message.type() === 'warning';
      if (isComplaint && !isNoPicture) this.complaints.push(message.text());
    });
    this.context.on('weberror', (error) => this.complaints.push(String(error.error())));
    this.page = await this.context.newPage();
  }

  /** Opens a page of the console with a role, by a link that signs in. */
  async open(path: string, role: TokenRole = 'builder'): Promise<void> {
    const { token } = await this.api.client.createToken({ role });
    await this.page.goto(`${await this.api.as(token).consoleLink()}&to=${path}`);
  }

  violations(): Promise<string[]> {
    return violationsOf(this.page);
  }

  picture(name: string): Promise<void> {
    return keepPicture(this.page, name);
  }

  /** A node of the graph of layers, by the beginning of its name. */
  node(name: string): Locator {
    return this.page.getByRole('region', { name: 'Layers' }).getByRole('link', { name });
  }

  /** The claim of the ready phase of a module. */
  async startPhase(module: string): Promise<PhaseClaim> {
    const claims = await this.api.startReady();
    const claim = claims.find(({ spec }) => spec.module.name === module);
    if (!claim) throw new Error(`Nothing of ${module} is ready.`);
    return claim;
  }
}

/** Starts a console for the test file that calls it, with a fresh page before each test, and stops it after the last one. */
export function useWebConsole(): WebConsole {
  const web = new WebConsole();
  beforeAll(() => web.start(), 120_000);
  afterAll(() => web.stop());
  beforeEach(() => web.reset());
  afterEach(() => web.context.close());
  return web;
}
