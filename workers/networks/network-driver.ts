import type { Duplex } from 'node:stream';
import type { V1Interface, V1Network, V1VirtualMachineInstanceSpec } from '@kubevirt-ui-ext/kubevirt-api/kubevirt';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { NicPlan } from '../../common/contracts/layers.ts';
import type { Pod } from '../../common/kubernetes/objects.ts';
import type { BuildScope, ModuleScope } from '../cluster/build-scope.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import type { RelayExtras } from './network-objects.ts';

/** How the cards of a machine are plugged in: parts of its VirtualMachine. */
export interface Wiring {
  /** Of the template's metadata. */
  readonly annotations: Readonly<Record<string, string>>;
  /** In the order of the cards. */
  readonly networks: readonly V1Network[];
  /** KubeVirt's bindings, in the order of the cards. */
  readonly bindings: readonly Pick<V1Interface, 'bridge' | 'masquerade' | 'binding'>[];
  /** Name servers for DHCP; empty: those of the cluster's pods. */
  readonly resolver: Pick<V1VirtualMachineInstanceSpec, 'dnsPolicy' | 'dnsConfig'>;
}

/** Purpose of a connection to a guest. */
export interface GuestPort {
  readonly port: number;
  readonly signal: AbortSignal;
}

/**
 * How the machines of a module are connected on a cluster: one implementation per kind of network (`networks.ts`). All
 * of it may be called again at any time, and by every VM of the module at once.
 */
export interface NetworkDriver {
  /** Creates or adopts the objects that must exist before a machine starts. */
  ensure(context: PhaseContext, scope: ModuleScope): Promise<void>;
  /** Asks for the ways out of VPCs with internet; `ensureWaysOut` waits for them. */
  requestWaysOut(context: PhaseContext, scope: ModuleScope): Promise<void>;
  ensureWaysOut(context: PhaseContext, scope: ModuleScope): Promise<void>;
  /** The relay of a VPC; undefined when it has no managed subnet. */
  relayPod(scope: ModuleScope, vpc: string, extras: RelayExtras): Pod | undefined;
  /** Where guests of a VPC find their relay: `{{ .HTTPIP }}`, and their name server. */
  relayAddress(context: PhaseContext, scope: ModuleScope, vpc: string): Promise<string>;
  /** Sends a relay that has just started the data that its flags could not contain. */
  fillRelay(context: PhaseContext, scope: ModuleScope, vpc: string): Promise<void>;
  /** Of the machine that a module is built in. */
  buildWiring(context: PhaseContext, scope: BuildScope): Promise<Wiring>;
  /** Of the published template, after the build objects are removed. */
  templateWiring(scope: BuildScope, clusterConfig: ClusterConfig): Wiring;
  /** Name of a guest in messages: its address, where the plan decides it. */
  guestName(scope: BuildScope, nic: NicPlan): string;
  /**
   * A byte stream to a port of the claimed VM's guest.
   * @throws ConnectionLost while the guest does not answer; ApiError when its relay has gone
   */
  dial(context: PhaseContext, scope: BuildScope, target: GuestPort): Promise<Duplex>;
}
