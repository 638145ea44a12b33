import type { KubeObject } from '../api/objects.ts';
import type { NicSpec } from '../qemu/machine-spec.ts';
import type { Vmi } from './kubevirt-types.ts';

/** The cards of a machine, and where QEMU must run for them. */
export interface MachineNetworks {
  readonly nics: readonly NicSpec[];
  /** Path of the network namespace; the host's own for a machine without a networked card. */
  readonly namespace: string | undefined;
}

/** Connects pods and machines: one implementation per kind of network. All methods are idempotent. */
export interface ClusterNetwork {
  /** Kinds whose changes may let something start that waits. */
  readonly kinds: readonly string[];
  /** Starts the network, and adopts the state of an earlier process. */
  start(): Promise<void>;
  /** Gives every card of a machine its address and its cable. */
  connectMachine(vmi: Vmi): Promise<MachineNetworks>;
  /** Removes the cables of a machine that has ended. */
  disconnectMachine(vmi: Vmi): Promise<void>;
  /** Gives a pod its network, in its namespace; its address, when it has one. */
  connectPod(pod: KubeObject, namespace: string): Promise<string | undefined>;
}
