import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { EmbeddedConfig } from '../config.ts';
import { ADMISSION } from './admission/rules.ts';
import { installCluster } from './bootstrap.ts';
import { ClientWrites } from './client-writes.ts';
import { ensureCredentials } from './credentials.ts';
import { limitEvents } from './event-limit.ts';
import { ApiServer } from './http/api-server.ts';
import { Audit } from './http/audit.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { NamespaceCollector } from './namespace-collector.ts';
import { OwnerCollector } from './owner-collector.ts';
import { loadServedApi } from './resource-kinds.ts';
import { createRoutes } from './routes.ts';
import { serverUrl } from './server-url.ts';
import { Store } from './store.ts';
import type { MachineAccess } from './subresources/machine-access.ts';
import { writeAtomically } from './write-atomically.ts';

/** Shared parts of both halves of a process. */
export interface ApiHalfOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resources: ReleaseStack;
}

/** Groups of definitions that are not installed where machines are on the pod network alone. */
const NOT_SERVED = { 'kube-ovn': [], pod: ['kubeovn.io', 'k8s.cni.cncf.io'] } as const;

type InstalledConfig = Pick<EmbeddedConfig, 'namespaces' | 'network' | 'absentGroups'>;

/** Opens the store of a data directory, installs the initial objects of a cluster, and starts its collectors. */
export async function openClusterStore(
  { dataDir, clock, logger, resources }: ApiHalfOptions,
  { namespaces = [], network = 'kube-ovn', absentGroups = [] }: Partial<InstalledConfig>,
): Promise<Store> {
  const { kinds, definitions } = loadServedApi([...NOT_SERVED[network], ...absentGroups]);
  const store = await Store.open({ directory: join(dataDir, 'store'), kinds, clock, logger });
  resources.defer('store', () => store.close());
  await installCluster(store, definitions, namespaces);
  const stop = new AbortController();
  resources.defer('collectors', () => stop.abort());
  new OwnerCollector(store, logger).start(stop.signal);
  new NamespaceCollector(store, logger).start(stop.signal);
  limitEvents(store, logger, { signal: stop.signal });
  return store;
}

/** How the server is reached. */
export interface ServeOptions extends ApiHalfOptions {
  readonly store: Store;
  readonly host: string;
  /** 0 takes the port of the last run when it is free, else any. */
  readonly port: number;
  readonly auditLog?: string | undefined;
  /** How machines and pods are reached; undefined when none run. */
  readonly access: MachineAccess | undefined;
}

/** Where the server listens. */
export interface Served {
  readonly url: string;
  /** Path of the kubeconfig that reaches it. */
  readonly kubeconfig: string;
}

/** Serves the store over HTTPS until the resources are released. */
export async function serveApi(options: ServeOptions): Promise<Served> {
  const { dataDir, store, host, clock, logger, resources } = options;
  const credentials = await ensureCredentials(dataDir, host);
  const audit = new Audit(logger, options.auditLog);
  resources.defer('audit log', () => audit.close());
  const routes = createRoutes({
    store,
    writes: new ClientWrites(store, clock, ADMISSION),
    clock,
    access: options.access,
  });
  const server = new ApiServer({ routes, ...credentials, audit, clock, logger });
  resources.defer('API server', () => server.close());
  const portFile = join(dataDir, 'port');
  const lastPort = Number(await readFile(portFile, 'utf8').catch(() => '0'));
  const port = await server.listen(host, options.port ? [options.port] : [lastPort, 0]);
  await writeAtomically(portFile, `${port}\n`);
  const url = serverUrl(host, port);
  options.access?.exports?.serveAs({ host, ...credentials });
  return { url, kubeconfig: await writeKubeconfig(dataDir, url, credentials) };
}
