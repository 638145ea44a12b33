import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { errorMessage } from '../../common/errors/farm-error.ts';
import { layoutOf } from '../../embedded/host/layout.ts';
import { fencedBlocks } from '../docs/markdown.ts';
import { runCli } from '../harness/farm.ts';
import { type ServedFile, serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';

/** Only what hangs is ended: machines of other tests may run beside those of the demo. */
const COMMAND_MS = 600_000;
/** Runs beside this one. */
const NOT_RUN = ['npm test'];

/** What the pages promise of a command beyond its success. */
const PROMISES: Readonly<Record<string, RegExp>> = {
  'slipway plan examples/first --var IMAGE_URL="$IMAGE_URL"': /^greeter +reuse .*\n^signed +reuse /m,
  'slipway logs': /^signed\/signed \| Hello from cloud-init\.\n.*Signed by layer 2\.$/m,
  'slipway build examples/failure/broken.yaml || test $? = 2': /^ +StepFailed: /m,
  'npm run demo': /^\{"event":"demo-finished","outcome":"succeeded",/m,
};

interface Finished {
  readonly exitCode: number;
  /** Standard output and standard error. */
  readonly output: string;
}

/** A user of this machine who has nothing yet but the cache of guests. */
const home = mkdtempSync(join(tmpdir(), 'slipway-readme-'));
const cache =
  process.env['SLIPWAY_CACHE_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'slipway');
let image: ServedFile;

beforeAll(async () => {
  // As the default of the page: Debian's cloud kernel, systemd and cloud-init.
  const { debianImage } = await guestImages('debian');
  if (debianImage === null) throw new Error('The Debian guest was asked for and not built.');
  image = await serveFile(debianImage);
}, 400_000);

afterAll(async () => {
  await runCli(['down', '--purge'], environment());
  await image?.stop();
  rmSync(home, { recursive: true, force: true });
}, 60_000);

describe.each(['README.md', 'docs/getting-started.md'])('the commands of %s', (page) => {
  const commands = shellCommands(page);
  const variables = join(home, `${page.replaceAll('/', '-')}.variables`);

  test('are there', () => {
    expect(commands.length).toBeGreaterThan(3);
  });

  test.each(commands)('%s', { timeout: COMMAND_MS }, async (command) => {
    const { exitCode, output } = await runLine(command, variables);
    expect(exitCode, output).toBe(0);
    expect(output).toMatch(PROMISES[command] ?? '');
    if (command === 'npm run demo') expectWholeDemo(output);
  });
});

test('nothing of it is left', () => {
  expect(existsSync(join(home, 'state', 'slipway', 'farm'))).toBe(false);
  expect(processesOf(home)).toEqual([]);
  expect(networksOf(join(home, 'state', 'slipway', 'farm'))).toEqual([]);
});

function expectWholeDemo(output: string): void {
  expect(JSON.parse(output.trim().split('\n').at(-1) ?? '')).toEqual({
    event: 'demo-finished',
    outcome: 'succeeded',
    firstBuildMs: expect.any(Number),
    secondBuildMs: expect.any(Number),
    vmsBooted: 5,
  });
  const [, dataDir = ''] = /Starting a farm in (\S+)/.exec(output) ?? [];
  expect(dataDir).toMatch(/slipway-demo-/);
  expect(existsSync(dataDir)).toBe(false);
  expect(processesOf(dataDir)).toEqual([]);
  expect(networksOf(dataDir)).toEqual([]);
}

/** One line of a block, in a shell that knows the variables which earlier lines of the page have set. */
function runLine(command: string, variables: string): Promise<Finished> {
  const script = `set -aeu; [ ! -e "$KEPT" ] || . "$KEPT"; ${command}\n{ declare -p IMAGE_URL BUILD || true; } > "$KEPT" 2> /dev/null`;
  return new Promise((resolve) => {
    const options = {
      cwd: packagePath(),
      env: { ...environment(), KEPT: variables },
      timeout: COMMAND_MS,
      maxBuffer: 64 * 1024 * 1024,
    };
    execFile('bash', ['-c', script], options, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ exitCode, output: exitCode === 0 ? stdout : `${errorMessage(error)}\n${stdout}\n${stderr}` });
    });
  });
}

/** Nothing of the user who runs the tests, nor of vitest, gets through. */
function environment(): NodeJS.ProcessEnv {
  const state = join(home, 'state');
  mkdirSync(state, { recursive: true });
  return {
    // What `npm link` makes is this user's own.
    npm_config_prefix: join(home, 'npm'),
    PATH: `${join(home, 'npm', 'bin')}:${process.env['PATH']}`,
    HOME: home,
    XDG_STATE_HOME: state,
    SLIPWAY_CACHE_DIR: cache,
    IMAGE_URL: image?.url,
    // The mirror of these tests; the page's own is a public one.
    SLIPWAY_ALLOW_ADDRESS: '127.0.0.1',
  };
}

function shellCommands(page: string): string[] {
  const blocks = fencedBlocks(readFileSync(packagePath(page), 'utf8')).filter(({ language }) => language === 'sh');
  const lines = blocks.flatMap(({ text }) => text.split('\n').map((line) => line.trim()));
  return lines.filter((line) => line !== '' && !line.startsWith('#') && !NOT_RUN.includes(line));
}

/** Command lines of the living processes that name a folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(join('/proc', pid, 'cmdline'), 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It ended while we looked.
        return [];
      }
    })
    .filter((line) => line.includes(folder));
}

/** Network namespaces and host interfaces of the cluster in a farm's data folder. */
function networksOf(dataDir: string): string[] {
  const { prefix } = layoutOf(join(dataDir, 'cluster'));
  const names = ['/run/netns', '/sys/class/net'].flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  return names.filter((name) => name.startsWith(prefix));
}
