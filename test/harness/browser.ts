import { type Browser, chromium } from 'playwright-core';

/** Chromium of the system asks nothing of its maker, and has a profile of its own that is gone afterwards. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A real browser without a window; `deploy/setup.sh` installs it. The caller closes it. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium-headless-shell', headless: true, args: FLAGS });
}
