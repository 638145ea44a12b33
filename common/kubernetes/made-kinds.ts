import type { NetworkKind } from '../contracts/network-kinds.ts';
import { PHASES } from '../contracts/phases.ts';
import type { ClusterRole } from '../contracts/roles.ts';
import { RESOURCES } from './resources.ts';

/** A kind of objects that builds leave on a cluster. */
export interface MadeKind {
  /** The kind of network that needs it. @defaultValue all of them */
  readonly network?: NetworkKind;
  /** Roles that create such objects. None: the cluster creates them for other objects. */
  readonly makers: readonly ClusterRole[];
  /**
   * Removal after a build (teardown.ts): stages one after another; in each, `asked` kinds are deleted in the order of the
   * table, then `awaited` kinds must be gone. Without it the objects are part of a layer, or are removed with their owners.
   */
  readonly teardown?: { readonly stage: 1 | 2 | 3; readonly asked: boolean; readonly awaited: boolean };
}

const GONE = { asked: true, awaited: true } as const;
const ASKED = { asked: true, awaited: false } as const;

/**
 * Every kind of which a build leaves objects on a cluster. It determines the rights to create (rights.ts), the order of removal
 * (teardown.ts) and the kinds that the sweep lists. Machines and pods go first, then the network that they were on.
 */
export const MADE_KINDS = {
  // With the pods: KubeOVN removes a gateway's own before the subnet that they are on.
  egressGateways: { network: 'kube-ovn', makers: ['import', 'boot-keystrokes'], teardown: { stage: 1, ...GONE } },
  services: { network: 'pod', makers: PHASES, teardown: { stage: 1, ...ASKED } },
  machines: { makers: ['boot-keystrokes', 'snapshot'], teardown: { stage: 1, ...GONE } },
  /** Relays, and readers of exported disks; the launcher pods of machines go with these. */
  pods: { makers: [...PHASES, 'scheduler'], teardown: { stage: 1, ...GONE } },
  dataVolumes: { makers: ['import', 'scheduler'], teardown: { stage: 1, ...ASKED } },
  claims: { makers: [], teardown: { stage: 1, ...ASKED } },
  secrets: { makers: ['import', 'scheduler'], teardown: { stage: 1, ...ASKED } },
  instances: { makers: [], teardown: { stage: 1, asked: false, awaited: true } },
  subnets: { network: 'kube-ovn', makers: ['import'], teardown: { stage: 2, ...GONE } },
  /** CNI DEL reads them: they go after the pods. */
  networkAttachments: { network: 'kube-ovn', makers: ['import'], teardown: { stage: 2, ...ASKED } },
  /** They outlive the machines that they confine. */
  networkPolicies: { network: 'pod', makers: ['import'], teardown: { stage: 2, ...ASKED } },
  vpcs: { network: 'kube-ovn', makers: ['import'], teardown: { stage: 3, ...GONE } },
  /** Without labels of the farm; they are freed with their subnets. */
  ips: { network: 'kube-ovn', makers: [] },
  snapshots: { makers: ['import', 'snapshot'] },
  exports: { makers: ['scheduler'] },
} as const satisfies Partial<Record<keyof typeof RESOURCES, MadeKind>>;

type MadeKindName = keyof typeof MADE_KINDS;

/** All rows, in the order of the table. */
export function madeKinds(): (MadeKind & { readonly kind: MadeKindName })[] {
  return Object.entries(MADE_KINDS).map(([kind, made]) => ({ ...(made as MadeKind), kind: kind as MadeKindName }));
}

/** Kinds that are removed when a build has ended, on a cluster with that kind of network. */
export function removedKinds(network: NetworkKind) {
  return madeKinds().flatMap(({ kind, teardown, network: only = network }) =>
    teardown && only === network ? [{ ...teardown, resource: RESOURCES[kind] }] : [],
  );
}
