import type { Phase } from '../../common/contracts/phases.ts';
import { RESOURCES, type Resource } from '../../common/kubernetes/resources.ts';

/** A process with rights of its own: the scheduler, or the workers of a phase. */
export type Role = 'scheduler' | Phase;

/** A rule of a Role or ClusterRole. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

type Kind = keyof typeof RESOURCES;
/** Verbs by kind, or by `kind/subresource`. */
type Grants = Readonly<Partial<Record<Kind | `${Kind}/${string}`, readonly string[]>>>;

/** What one wait costs (common/kubernetes/wait-for.ts). */
const WATCH = ['list', 'watch'] as const;
const ENSURE = ['get', 'create'] as const;

/** Subresources of machines are an API group of their own; a PUT is an `update`. */
const MACHINE_SUBRESOURCES = 'subresources.kubevirt.io';

/** Failures carry the last Events of what they speak of, and a picture of the screen (workers/cluster/evidence.ts). */
const EVIDENCE: Grants = {
  events: ['list'],
  'pods/log': ['get'],
  // kube-apiserver sees the first path part only, KubeVirt's own API all of them.
  'instances/vnc': ['get'],
  'instances/vnc/screenshot': ['get'],
};

/** Reaching a guest: the relay's pod (made anew when it was evicted), the build's key, secrets that a module names. */
const REACH_GUESTS: Grants = {
  secrets: ENSURE,
  configMaps: ['get'],
  pods: [...ENSURE, ...WATCH, 'delete'],
  // WebSockets begin as GET; Kubernetes 1.35 asks for `create` too.
  'pods/portforward': ['get', 'create'],
};

/** Removing what was needed for building only (common/kubernetes/teardown.ts). */
const TEARDOWN: Grants = {
  machines: ['get', ...WATCH, 'delete'],
  'machines/stop': ['update'],
  // A machine's end is held until it was read (common/kubernetes/final-instance.ts).
  instances: ['get', ...WATCH, 'patch'],
  pods: ['get', ...WATCH, 'delete'],
  egressGateways: [...WATCH, 'delete'],
  dataVolumes: ['list', 'delete'],
  claims: ['list', 'delete'],
  secrets: ['list', 'delete'],
  configMaps: ['list', 'delete'],
  networkAttachments: ['list', 'delete'],
  subnets: [...WATCH, 'delete'],
  ips: ['list', 'delete'],
  vpcs: [...WATCH, 'delete'],
};

/** What each role asks of a cluster; nothing else is granted. Read off the code that the comments name. */
const GRANTS: Readonly<Record<Role, readonly Grants[]>> = {
  // scheduler/catalog: watches machines and snapshots, mirrors layers, sweeps; scheduler/http: live screenshots.
  scheduler: [
    TEARDOWN,
    { snapshots: ['get', ...WATCH, 'patch', 'delete'] },
    { 'instances/vnc': ['get'], 'instances/vnc/screenshot': ['get'] },
  ],
  // workers/phases/import, workers/cluster/ensure-network.ts
  import: [
    EVIDENCE,
    REACH_GUESTS,
    {
      dataVolumes: [...ENSURE, ...WATCH, 'delete'],
      claims: ['get', ...WATCH],
      snapshots: [...ENSURE, ...WATCH],
      networkAttachments: ENSURE,
      vpcs: [...ENSURE, ...WATCH, 'patch'],
      subnets: [...ENSURE, ...WATCH],
      egressGateways: [...ENSURE, ...WATCH],
    },
  ],
  // workers/phases/boot-keystrokes, workers/console
  'boot-keystrokes': [
    EVIDENCE,
    REACH_GUESTS,
    { machines: [...ENSURE, 'patch'], 'machines/start': ['update'], instances: ['get', ...WATCH] },
  ],
  // workers/phases/provision, workers/guest
  provision: [EVIDENCE, REACH_GUESTS, { machines: ['get', 'patch'], instances: ['get', ...WATCH] }],
  // workers/phases/snapshot
  snapshot: [
    EVIDENCE,
    REACH_GUESTS,
    TEARDOWN,
    {
      machines: [...ENSURE, 'patch'],
      snapshots: [...ENSURE, ...WATCH, 'patch'],
      claims: ['get'],
    },
  ],
};

/** The roles of the farm, in the order in which their objects are written. */
export const ROLES = Object.keys(GRANTS) as readonly Role[];

/** The rules of a role, one per resource: those in the farm namespace, or those on kinds that have no namespace. */
export function rulesOf(role: Role, scope: 'namespaced' | 'cluster'): Rule[] {
  const verbs = new Map<string, Set<string>>();
  for (const [target, granted] of GRANTS[role].flatMap((grants) => Object.entries(grants))) {
    if (resourceOf(target).namespaced !== (scope === 'namespaced')) continue;
    verbs.set(target, new Set([...(verbs.get(target) ?? []), ...(granted ?? [])]));
  }
  return [...verbs].map(([target, granted]) => ({ ...pathOf(target), verbs: [...granted] }));
}

function resourceOf(target: string): Resource {
  return RESOURCES[(target.split('/')[0] ?? '') as Kind];
}

function pathOf(target: string): Pick<Rule, 'apiGroups' | 'resources'> {
  const { apiVersion, plural } = resourceOf(target);
  const subresource = target.slice(target.indexOf('/'));
  if (!target.includes('/')) return { apiGroups: [groupOf(apiVersion)], resources: [plural] };
  const ofMachines = plural.startsWith('virtualmachine');
  return {
    apiGroups: [ofMachines ? MACHINE_SUBRESOURCES : groupOf(apiVersion)],
    resources: [`${plural}${subresource}`],
  };
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
}
