import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { freePorts } from '../harness/free-ports.ts';
import { kubernetesBinaries, type Program } from './binaries.ts';

const PATIENCE_MS = 120_000;
const START_TRIES = 3;
/** What the farm and its tests rely on; nodes, workloads and volumes have no controllers here. */
const CONTROLLERS = [
  'namespace-controller',
  'garbage-collector-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'persistentvolumeclaim-protection-controller',
  'resourcequota-controller',
];

/** A real API server with its etcd and, unless left out, its controllers. */
export interface KubernetesServer {
  /** Of an administrator. */
  readonly kubeconfig: string;
  readonly url: string;
  /** Ends the API server alone and starts it again: same etcd, same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it on free ports; resolves when `/readyz` succeeds and service accounts are made. */
export async function startKubernetes({ controllers = true } = {}): Promise<KubernetesServer> {
  let lastError: unknown;
  for (let attempt = 0; attempt < START_TRIES; attempt += 1) {
    const resources = new ReleaseStack();
    try {
      return await start(resources, controllers);
    } catch (error) {
      lastError = error;
      await resources.close();
    }
  }
  throw lastError;
}

async function start(resources: ReleaseStack, controllers: boolean): Promise<KubernetesServer> {
  const programs = await kubernetesBinaries();
  const folder = await mkdtemp(join(tmpdir(), 'slipway-kubernetes-'));
  resources.defer('folder', () => rm(folder, { recursive: true, force: true }));
  const [clientPort, peerPort, apiPort] = await freePorts(3);
  const [etcdUrl, peerUrl] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  const url = `https://127.0.0.1:${apiPort}`;
  const { keys, token } = await writeCredentials(folder);
  const launch = (name: Program, args: Record<string, string>) => launchProgram(programs[name], args, folder);

  const etcd = launch('etcd', {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': etcdUrl,
    'advertise-client-urls': etcdUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
  });
  resources.defer('etcd', () => etcd.end());
  const launchApi = () =>
    launch('kube-apiserver', {
      'etcd-servers': etcdUrl,
      'bind-address': '127.0.0.1',
      'secure-port': String(apiPort),
      'cert-dir': join(folder, 'certificates'),
      'endpoint-reconciler-type': 'none',
      'token-auth-file': keys.tokens,
      'authorization-mode': 'RBAC',
      'service-account-issuer': 'https://kubernetes.default.svc',
      'service-account-key-file': keys.public,
      'service-account-signing-key-file': keys.private,
      'service-cluster-ip-range': '10.96.0.0/16',
    });
  let api = launchApi();
  resources.defer('kube-apiserver', () => api.end());
  const kubeconfig = join(folder, 'kubeconfig');
  const untilReady = async () => {
    await until(() => isAnswered(url, token, '/readyz'), [etcd, api]);
  };
  await untilReady();
  const authority = await readFile(join(folder, 'certificates', 'apiserver.crt'));
  await writeFile(kubeconfig, JSON.stringify(kubeconfigOf({ url, token, authority })));
  if (controllers) {
    const manager = launch('kube-controller-manager', {
      kubeconfig,
      'secure-port': '0',
      'leader-elect': 'false',
      controllers: CONTROLLERS.join(','),
      'root-ca-file': join(folder, 'certificates', 'apiserver.crt'),
      'service-account-private-key-file': keys.private,
    });
    resources.defer('kube-controller-manager', () => manager.end());
    await until(() => isAnswered(url, token, '/api/v1/namespaces/default/serviceaccounts/default'), [manager, api]);
  }
  return {
    kubeconfig,
    url,
    restart: async () => {
      await api.end();
      api = launchApi();
      await untilReady();
    },
    stop: () => resources.close(),
  };
}

interface Launched {
  readonly child: ChildProcess;
  /** The last lines that it wrote. */
  log(): string;
  end(): Promise<void>;
}

function launchProgram(path: string, args: Record<string, string>, folder: string): Launched {
  const words = Object.entries(args).map(([name, value]) => `--${name}=${value}`);
  // Nothing of it outlives the tests, even when they are killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', path, ...words], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000);
  });
  const isGone = () => child.exitCode !== null || child.signalCode !== null;
  return {
    child,
    log: () => `${path}:\n${log}`,
    end: async () => {
      if (isGone()) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const impatient = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(impatient);
    },
  };
}

/** Asks until the answer is yes; a program that ends meanwhile ends the waiting. */
async function until(isSo: () => Promise<boolean>, programs: readonly Launched[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    const ended = programs.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
    if (ended || Date.now() > deadline) {
      const what = ended ? 'A program of the API server ended' : `The API server is not ready after ${PATIENCE_MS} ms`;
      throw new Error(`${what}. ${(ended ?? programs.at(-1))?.log()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function isAnswered(url: string, token: string, path: string): Promise<boolean> {
  const { Agent, request } = await import('undici');
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    const headers = { authorization: `Bearer ${token}` };
    const { statusCode, body } = await request(`${url}${path}`, { dispatcher, headers });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  } finally {
    await dispatcher.destroy();
  }
}

/** The key that signs the tokens of service accounts, and the token of the administrator. */
async function writeCredentials(folder: string) {
  const keys = {
    private: join(folder, 'accounts.key'),
    public: join(folder, 'accounts.pub'),
    tokens: join(folder, 'tokens.csv'),
  };
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const token = randomBytes(16).toString('hex');
  await writeFile(keys.private, pair.privateKey, { mode: 0o600 });
  await writeFile(keys.public, pair.publicKey);
  await writeFile(keys.tokens, `${token},administrator,administrator,system:masters\n`, { mode: 0o600 });
  return { keys, token };
}

/** A kubeconfig of one user, as an object. */
export function kubeconfigOf({ url, token, authority }: { url: string; token: string; authority: Buffer }): object {
  const cluster = { server: url, 'certificate-authority-data': authority.toString('base64') };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
  };
}
