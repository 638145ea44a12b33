import type { NetworkKind } from '../contracts/network-kinds.ts';
import type { ClusterRole } from '../contracts/roles.ts';
import { type MadeKind, madeKinds } from './made-kinds.ts';
import { RESOURCES, type Resource } from './resources.ts';

/** A rule of a Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

type Kind = keyof typeof RESOURCES;
/** Verbs by kind, or by `kind/subresource`. */
type Grants = Readonly<Partial<Record<Kind | `${Kind}/${string}`, readonly string[]>>>;

/** Rights of one wait (common/kubernetes/wait-for.ts). Rights to create are in made-kinds.ts. */
const WATCH = ['list', 'watch'] as const;

/** In the order in which people read them. */
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const;

/** Subresources of machines are an API group of their own; a PUT is an `update`. */
const MACHINE_SUBRESOURCES = 'subresources.kubevirt.io';

/** Failures carry the last Events of their objects (workers/context/stage.ts). */
const EVIDENCE: Grants = { events: ['list'] };

/** A picture of a machine's screen. kube-apiserver sees the first path part only, KubeVirt's own API all of them. */
const SCREEN: Grants = { 'instances/vnc': ['get'], 'instances/vnc/screenshot': ['get'] };

/** The serial output of a machine is the log of a container of its launcher pod (common/kubernetes/serial-log.ts). */
const SERIAL_LOG: Grants = { pods: ['list'], 'pods/log': ['get'], instances: WATCH };

/** Reaching a guest: the relay's pod (recreated after an eviction), and secrets: the build's key, those of a module. */
const REACH_GUESTS: Grants = {
  secrets: ['get'],
  pods: ['get', ...WATCH, 'delete'],
  'pods/log': ['get'],
  // WebSockets begin as GET; Kubernetes 1.35 asks for `create` too.
  'pods/portforward': ['get', 'create'],
  // On the pod network (workers/networks/pod-network.ts) a relay is behind a Service, and receives what VMIs show.
  instances: ['get'],
  services: ['get'],
};

/** The way into a guest on the pod network. */
const DIAL_GUESTS: Grants = { 'instances/portforward': ['get'] };

/** Removing build objects (common/kubernetes/teardown.ts), besides the rights of each kind (`removals`). */
const TEARDOWN: Grants = {
  machines: ['get'],
  'machines/stop': ['update'],
  // A machine's end is held until it was read (common/kubernetes/final-instance.ts).
  instances: ['get', 'patch'],
  pods: ['get'],
  ips: [...WATCH, 'delete'],
};

/** Preflight (common/kubernetes/preflight), and the check of the egress subnet. */
const PREFLIGHT: Grants = {
  namespaces: ['get'],
  quotas: ['list'],
  kubeVirts: ['list'],
  cdis: ['list'],
  storageClasses: ['list'],
  storageProfiles: ['list'],
  snapshotClasses: ['list'],
  subnets: ['list'],
};

/**
 * Rights of each role on a cluster; no others are granted. `test/rights` holds the table against the requests that the
 * test suite records, per role and in both directions.
 */
const GRANTS: Readonly<Record<ClusterRole, readonly Grants[]>> = {
  // scheduler/catalog: watches machines and snapshots, mirrors layers, sweeps; scheduler/http: live screenshots;
  // scheduler/console: the sessions with a screen and a serial port that viewers share.
  scheduler: [
    PREFLIGHT,
    TEARDOWN,
    SCREEN,
    { 'instances/console': ['get'] },
    // scheduler/console/guest-access.ts: people who log in to machines that wait for them.
    { 'pods/portforward': ['get', 'create'] },
    DIAL_GUESTS,
    // scheduler/builds/resolve-objects.ts: objects that modules name.
    { secrets: ['get'], configMaps: ['get'] },
    { snapshots: ['get', ...WATCH, 'patch', 'delete'] },
    // scheduler/catalog/sweep-sources.ts: parts of sources that go, and clones that end.
    { dataVolumes: WATCH, claims: WATCH },
    // scheduler/catalog/measure-storage.ts: storage in use and free storage.
    { storageCapacities: ['list'], claims: ['list'], snapshots: ['list'] },
    // scheduler/exports/exported-disk.ts: reading disks out of the cluster.
    { exports: [...WATCH, 'delete'] },
  ],
  // workers/phases/import, workers/networks/ensure-network.ts
  import: [
    EVIDENCE,
    REACH_GUESTS,
    {
      configMaps: ['get'],
      dataVolumes: ['get', ...WATCH, 'delete'],
      claims: ['get', ...WATCH],
      snapshots: ['get', ...WATCH],
      networkAttachments: ['get'],
      vpcs: ['get', ...WATCH],
      subnets: ['get', ...WATCH],
      egressGateways: ['get', ...WATCH],
      networkPolicies: ['get'],
    },
  ],
  // workers/phases/boot-keystrokes, workers/console
  'boot-keystrokes': [
    EVIDENCE,
    SCREEN,
    SERIAL_LOG,
    REACH_GUESTS,
    DIAL_GUESTS,
    { machines: ['get', 'patch'], 'machines/start': ['update'], instances: ['get', ...WATCH] },
    // Ways out that import did not wait for (workers/networks/network-services.ts).
    { egressGateways: ['get', ...WATCH] },
  ],
  // workers/phases/provision, workers/guest
  provision: [
    EVIDENCE,
    SCREEN,
    SERIAL_LOG,
    REACH_GUESTS,
    DIAL_GUESTS,
    // It holds the end of a machine that it asks to go down (common/kubernetes/final-instance.ts).
    { configMaps: ['get'], machines: ['get', 'patch'], instances: ['get', 'patch'] },
  ],
  // workers/phases/snapshot
  snapshot: [
    EVIDENCE,
    SCREEN,
    SERIAL_LOG,
    REACH_GUESTS,
    DIAL_GUESTS,
    {
      machines: ['get', 'patch'],
      'machines/stop': ['update'],
      // A machine's end is held until it was read (common/kubernetes/final-instance.ts).
      instances: ['get', ...WATCH, 'patch'],
      snapshots: ['get', ...WATCH],
      claims: ['get'],
    },
  ],
};

/** One verb on one resource. */
export interface Right {
  readonly verb: string;
  readonly group: string;
  /** Plural name, with `/subresource`. */
  readonly path: string;
  readonly scope: 'namespaced' | 'cluster';
}

/** E.g. `list subnets (kubeovn.io) everywhere`, or `get pods/log` in the farm namespace. */
export function describeRight({ verb, group, path, scope }: Right): string {
  return `${verb} ${path}${group === '' ? '' : ` (${group})`}${scope === 'cluster' ? ' everywhere' : ''}`;
}

/** `kind` and `kind/subresource` as in the grants, of what is there for another kind of network only. */
function foreignTo(network: NetworkKind): string[] {
  const foreign = madeKinds().flatMap(({ kind, network: only = network }) => (only === network ? [] : [kind]));
  return [...foreign, ...(network === 'pod' ? [] : Object.keys(DIAL_GUESTS))];
}

/** Rights of a role on a cluster with that kind of network. */
export function rightsOn(network: NetworkKind, role: ClusterRole): Right[] {
  const paths = new Set(foreignTo(network).map((target) => describeTarget(pathOf(target))));
  return rightsOf(role).filter(({ group, path }) => !paths.has(`${path}.${group}`));
}

/** Everything that a role may do. */
export function rightsOf(role: ClusterRole): Right[] {
  return (['namespaced', 'cluster'] as const).flatMap((scope) =>
    rulesOf(role, scope).flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((path) => verbs.map((verb) => ({ verb, group, path, scope })))),
    ),
  );
}

/** The rules of a role, one per resource: those in the farm namespace, or those on kinds that have no namespace. */
export function rulesOf(role: ClusterRole, scope: 'namespaced' | 'cluster'): PolicyRule[] {
  const verbs = new Map<string, Set<string>>();
  const all = [...GRANTS[role], makings(role), removals(role)].flatMap((grants) => Object.entries(grants));
  for (const [target, granted] of all) {
    if (isNamespaced(resourceOf(target)) !== (scope === 'namespaced')) continue;
    verbs.set(target, new Set([...(verbs.get(target) ?? []), ...(granted ?? [])]));
  }
  return [...verbs].map(([target, granted]) => ({
    ...pathOf(target),
    verbs: VERBS.filter((verb) => granted.has(verb)),
  }));
}

/** Kinds that a role creates. */
function makings(role: ClusterRole): Grants {
  const made = madeKinds().filter(({ makers }) => makers.includes(role));
  return Object.fromEntries(made.map(({ kind }) => [kind, ['create']]));
}

/** The scheduler removes the objects of an ended build. */
function removals(role: ClusterRole): Grants {
  if (role !== 'scheduler') return {};
  const verbsOf = ({ teardown }: MadeKind) => [
    ...(teardown ? ['list'] : []),
    ...(teardown?.awaited ? ['watch'] : []),
    ...(teardown?.asked ? ['delete'] : []),
  ];
  return Object.fromEntries(madeKinds().map((made) => [made.kind, verbsOf(made)]));
}

/** Whether a Role of the farm namespace can grant it. Kubernetes takes a namespace for an object in itself. */
function isNamespaced({ namespaced, kind }: Resource): boolean {
  return namespaced || kind === 'Namespace';
}

function resourceOf(target: string): Resource {
  return RESOURCES[(target.split('/')[0] ?? '') as Kind];
}

function pathOf(target: string): Pick<PolicyRule, 'apiGroups' | 'resources'> {
  const { apiVersion, plural } = resourceOf(target);
  const subresource = target.slice(target.indexOf('/'));
  if (!target.includes('/')) return { apiGroups: [groupOf(apiVersion)], resources: [plural] };
  const ofMachines = plural.startsWith('virtualmachine');
  return {
    apiGroups: [ofMachines ? MACHINE_SUBRESOURCES : groupOf(apiVersion)],
    resources: [`${plural}${subresource}`],
  };
}

function describeTarget({ apiGroups, resources }: Pick<PolicyRule, 'apiGroups' | 'resources'>): string {
  return `${resources[0]}.${apiGroups[0]}`;
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}
