/**
 * How a cluster connects machines. `kube-ovn`: each module has VPCs and subnets of its own, made by KubeOVN, with the
 * addresses that the planner fixed. `pod`: machines are on the cluster's own pod network, one card each.
 */
export const NETWORK_KINDS = ['kube-ovn', 'pod'] as const;
export type NetworkKind = (typeof NETWORK_KINDS)[number];
