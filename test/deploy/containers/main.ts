import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { FarmClient } from '../../../cli/client/farm-client.ts';
import { readModuleFiles } from '../../../cli/read-modules.ts';
import { packagePath } from '../../../common/config/package-root.ts';
import { errorMessage } from '../../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { serveFile } from '../../harness/file-server.ts';
import { followBuild } from '../../harness/follow-build.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { beyondRights } from '../../rights/compare-rights.ts';
import { requestsOf } from '../../rights/recorded-requests.ts';
import { testAdapters } from './adapter-tests.ts';
import { type Engine, useEngine } from './engine.ts';

/*
 * Everything that needs a Docker engine, for real. First the tests that start a Redis, with each of them in a container.
 * Then the farm as docker-compose.yml runs it: builds the images, starts all services with three provision workers,
 * builds examples/lab through the published port twice, and holds the requests that the cluster saw against the rights
 * that the manifests grant. SLIPWAY_BASE and REDIS_IMAGE name images to use; without them both are made from Debian
 * packages, so that no registry of images is needed. As root, with docker.io and docker-compose.
 */
const AUDIT_LOG = '/var/lib/slipway/audit.jsonl';
const HEALTHY_WITHIN_MS = 10 * 60_000;

const resources = new ReleaseStack();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void resources.close().finally(() => process.exit(130)));
}
try {
  await runContainers();
  console.log(JSON.stringify({ event: 'containers-finished', outcome: 'succeeded' }));
} catch (error) {
  process.stderr.write(`The run in containers failed. ${errorMessage(error)}\n`);
  process.exitCode = 1;
} finally {
  await resources.close();
}

async function runContainers(): Promise<void> {
  const engine = await useEngine(resources);
  const given = await givenImages(engine);
  say('Running the tests that need Redis with Redis in containers');
  await testAdapters(engine, given.REDIS_IMAGE);
  say('Building the images');
  await runFarm(engine, { ...given, ...(await buildImages(engine, given.SLIPWAY_BASE)), ...composeEnvironment() });
}

async function runFarm(engine: Engine, environment: Environment): Promise<void> {
  const compose = composeCommand(environment.COMPOSE_FOLDER);
  const run = (...args: string[]) => engine.run('docker-compose', [...compose, ...args], environment);
  const read = (...args: string[]) => engine.read('docker-compose', [...compose, ...args], environment);
  await engine.run(packagePath('deploy', 'compose', 'make-secrets.sh'), [environment.SLIPWAY_SECRETS]);
  say('Starting the services');
  resources.defer('services', () => run('down', '--volumes', '--remove-orphans', '--timeout', '30'));
  await run('up', '--detach', '--no-build', '--scale', 'provision=3');
  await waitForServices(engine).catch(async (error: unknown) => {
    process.stderr.write(await read('logs', '--no-color', '--tail', '20'));
    throw error;
  });
  await expectRedisApart(engine, read);
  const url = `http://${(await read('port', 'scheduler', '8080')).trim()}`;
  const token = readFileSync(join(environment.SLIPWAY_SECRETS, 'token'), 'utf8');
  const client = new FarmClient({ url, token });
  const submission = { files: readModuleFiles([packagePath('examples', 'lab')]), variables: await media(engine) };
  say('Building examples/lab');
  const first = await followBuild(client, submission);
  say('Building it again');
  const second = await followBuild(client, submission);
  const logs = await read('logs', '--no-color', 'provision');
  const workers = new Set([...logs.matchAll(/^(\S+) +\|.*"msg":"Phase ended"/gm)].map(([, name]) => name));
  await run('ps');
  console.log(JSON.stringify({ first, second, provisionWorkers: [...workers] }));
  if (first.outcome !== 'succeeded' || second.outcome !== 'succeeded' || second.started > 0) {
    process.stderr.write(await read('logs', '--no-color', '--tail', '40'));
    throw new Error('A build did not end as it should.');
  }
  const beyond = beyondRights(requestsOf([await read('exec', '-T', 'embedded', 'cat', AUDIT_LOG)]));
  if (beyond.length > 0) throw new Error(`The manifests do not grant: ${beyond.join(', ')}`);
  say('Every request that the cluster saw is granted by the manifests');
}

/** What other images are made from, by variable of docker-compose.yml; made here unless the environment names them. */
async function givenImages(engine: Engine): Promise<{ SLIPWAY_BASE: string; REDIS_IMAGE: string }> {
  const base = process.env['SLIPWAY_BASE'] ?? 'slipway-base:local';
  const redis = process.env['REDIS_IMAGE'] ?? 'slipway-redis:local';
  const has = async (image: string) => (await engine.read('docker', ['images', '--quiet', image])) !== '';
  if (process.env['SLIPWAY_BASE'] === undefined && !(await has(base))) {
    await engine.run('bash', [packagePath('test', 'deploy', 'base-image.sh'), base]);
  }
  if (process.env['REDIS_IMAGE'] === undefined && !(await has(redis))) {
    const file = packagePath('test', 'deploy', 'redis.Dockerfile');
    await buildImage(engine, base, ['--tag', redis, '--file', file, packagePath('deploy', 'compose')]);
  }
  return { SLIPWAY_BASE: base, REDIS_IMAGE: redis };
}

/** Both targets of the Dockerfile, by variable of docker-compose.yml. */
async function buildImages(engine: Engine, base: string) {
  const images = { SLIPWAY_IMAGE: 'slipway:test', SLIPWAY_EMBEDDED_IMAGE: 'slipway:test-embedded' };
  await buildImage(engine, base, ['--target', 'farm', '--tag', images.SLIPWAY_IMAGE, packagePath()]);
  await buildImage(engine, base, ['--target', 'embedded', '--tag', images.SLIPWAY_EMBEDDED_IMAGE, packagePath()]);
  return images;
}

/** An engine without NAT gives builds no other way to the package registries than the host's network. */
function buildImage(engine: Engine, base: string, args: readonly string[]): Promise<void> {
  return engine.run('docker', ['build', '--quiet', '--network', 'host', '--build-arg', `BASE=${base}`, ...args]);
}

type Environment = Awaited<ReturnType<typeof givenImages>> &
  Awaited<ReturnType<typeof buildImages>> &
  ReturnType<typeof composeEnvironment>;

/** Secrets of this run, a free port, and an audit log. */
function composeEnvironment() {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-compose-'));
  resources.defer('compose folder', () => rmSync(folder, { recursive: true, force: true }));
  const command = ['slipway-embedded', '--audit-log', AUDIT_LOG];
  // A checkout's own .env is not this run's.
  writeFileSync(join(folder, 'no.env'), '');
  // The media server is on the bridge that the engine gives the services.
  const bridges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
  const cluster = JSON.parse(readFileSync(packagePath('deploy', 'compose', 'cluster.json'), 'utf8'));
  cluster.fetch.allowedAddresses.push(...bridges);
  writeFileSync(join(folder, 'cluster.json'), JSON.stringify(cluster));
  writeFileSync(join(folder, 'audit.yaml'), stringify({ services: { embedded: { command } } }));
  return {
    COMPOSE_FOLDER: folder,
    COMPOSE_PROJECT_NAME: `slipway-test-${process.pid}`,
    SLIPWAY_SECRETS: join(folder, 'secrets'),
    SLIPWAY_PUBLISH: '127.0.0.1:0',
    SLIPWAY_CLUSTER_FILE: join(folder, 'cluster.json'),
    SLIPWAY_ALLOWED_ADDRESSES: JSON.stringify(bridges),
  };
}

function composeCommand(folder: string): string[] {
  const files = [packagePath('docker-compose.yml'), join(folder, 'audit.yaml')];
  const place = ['--project-directory', packagePath(), '--env-file', join(folder, 'no.env')];
  return [...files.flatMap((file) => ['--file', file]), ...place, '--profile', 'embedded'];
}

/** Waits until every service is healthy by the image's own check: processes start again until the cluster is there. */
async function waitForServices({ read }: Engine): Promise<void> {
  const ours = ['--filter', `label=com.docker.compose.project=slipway-test-${process.pid}`];
  const deadline = AbortSignal.timeout(HEALTHY_WITHIN_MS);
  for (;;) {
    const states = await read('docker', ['ps', '--all', ...ours, '--format', '{{.Names}} {{.Status}}']);
    if (
      states
        .trim()
        .split('\n')
        .every((state) => state.includes('(healthy)'))
    )
      return;
    if (deadline.aborted) throw new Error(`Not all services became healthy:\n${states}`);
    await delay(1000);
  }
}

/** Guests get out through the cluster's container: what it does not reach, they do not. The farm's own processes do. */
async function expectRedisApart(engine: Engine, compose: (...args: string[]) => Promise<string>): Promise<void> {
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
  const redis = (await compose('ps', '--quiet', 'redis')).trim();
  const address = (await engine.read('docker', ['inspect', '--format', format, redis])).trim();
  const knock = `timeout 5 bash -c 'exec 3<> /dev/tcp/${address}/6379' 2> /dev/null && echo open || echo closed`;
  for (const [service, expected] of [
    ['import', 'open'],
    ['embedded', 'closed'],
  ] as const) {
    const seen = (await compose('exec', '-T', service, 'sh', '-c', knock)).trim();
    if (seen !== expected)
      throw new Error(`From ${service}, Redis at ${address} is ${seen}; it should be ${expected}.`);
  }
}

/** The installer media, served where containers reach it: on the bridge that the engine gives them. */
async function media({ read }: Engine): Promise<Record<string, string>> {
  const { installerIso } = await guestImages();
  const served = await serveFile(installerIso);
  resources.defer('media server', () => served.stop());
  const format = '{{(index .IPAM.Config 0).Gateway}}';
  const network = `slipway-test-${process.pid}_cluster`;
  const gateway = (await read('docker', ['network', 'inspect', '--format', format, network])).trim();
  const origin = new URL(served.url);
  const port = Number(origin.port);
  const forwarder = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1');
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
    socket.pipe(upstream).pipe(socket);
  });
  forwarder.listen(0, gateway);
  await once(forwarder, 'listening');
  resources.defer('media forwarder', () => void forwarder.close());
  origin.hostname = gateway;
  origin.port = String((forwarder.address() as AddressInfo).port);
  return { ISO_URL: origin.href, ISO_SHA256: served.sha256 };
}

function say(sentence: string): void {
  console.log(`==> ${sentence}`);
}
