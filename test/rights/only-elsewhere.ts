import type { ClusterRole } from '../../common/contracts/roles.ts';

/** A right that is granted although no test makes the embedded cluster see it used. */
export interface Unrecorded {
  readonly roles: readonly ClusterRole[];
  /** As `describeRight` returns it. */
  readonly right: string;
  readonly why: string;
  /** True: it depends on what happens at the same time, so some runs do record it. */
  readonly mayHappen?: boolean;
}

const KUBEVIRT_API = '(subresources.kubevirt.io)';
const WORKERS = ['import', 'boot-keystrokes', 'provision', 'snapshot'] as const;
const AFTER_IMPORT = ['boot-keystrokes', 'provision', 'snapshot'] as const;

const EVICTED_RELAY =
  'A relay that is gone is made again by the phase that misses it; import does it by the same code, and is recorded.';
const SLOW_CLUSTER = 'A deadline of minutes passes only on a cluster in trouble; its Events and log are the evidence.';
const SCREEN = 'kube-apiserver takes `vnc/screenshot` for `vnc`; KubeVirt’s own API, like this one, sees the whole.';

/** The reviewed table: every line has a reason, and a line that explains nothing fails the test. */
export const ONLY_ELSEWHERE: readonly Unrecorded[] = [
  {
    roles: ['scheduler', ...WORKERS],
    right: 'create pods/portforward',
    why: 'From Kubernetes 1.35 on a WebSocket to a pod needs `create` beside `get`; the audit log shows the method.',
  },
  {
    roles: ['scheduler'],
    right: `get virtualmachineinstances/portforward ${KUBEVIRT_API}`,
    why: 'A person who logs in on the pod network; workers reach guests there by the same call, and are recorded.',
  },
  {
    roles: ['provision', 'snapshot'],
    right: `get virtualmachineinstances/vnc ${KUBEVIRT_API}`,
    why: SCREEN,
  },
  {
    roles: ['provision'],
    right: `get virtualmachineinstances/vnc/screenshot ${KUBEVIRT_API}`,
    why: 'The picture of a guest that does not come back from a restart; boot takes it by the same code, and is recorded.',
    mayHappen: true,
  },
  {
    roles: ['provision'],
    right: 'patch virtualmachines (kubevirt.io)',
    why: 'The first phase that logs in pins the host key: boot, unless another sign of life was enough for it.',
    mayHappen: true,
  },
  {
    roles: ['import'],
    right: 'get persistentvolumeclaims',
    why: 'The size of a claim is asked for only where a module starts from one.',
    mayHappen: true,
  },
  {
    roles: ['scheduler'],
    right: 'watch ips (kubeovn.io) everywhere',
    why: 'Addresses of a build are mostly free by the time that its subnets go; they are watched only where they are not.',
    mayHappen: true,
  },
  {
    roles: ['import'],
    right: 'get vpc-egress-gateways (kubeovn.io)',
    why: 'A gateway is looked at when creating it was refused: another VM of the module, or an earlier attempt, made it.',
    mayHappen: true,
  },
  ...['get', 'create', 'watch', 'delete'].map((verb) => ({
    ...{ roles: AFTER_IMPORT, right: `${verb} pods`, why: EVICTED_RELAY, mayHappen: true },
  })),
  ...['get', 'create'].map((verb) => ({
    ...{ roles: ['provision', 'snapshot'] as const, right: `${verb} services`, why: EVICTED_RELAY, mayHappen: true },
  })),
  { roles: ['import'], right: 'get pods/log', why: SLOW_CLUSTER, mayHappen: true },
  { roles: ['boot-keystrokes', 'provision'], right: 'list events', why: SLOW_CLUSTER, mayHappen: true },
];
