/** Allowed traffic of a pod, or of the guest in it. */
export interface Traffic {
  /** Conditions of nftables, any of which suffices; undefined: no policy selects the pod, so everything may pass. */
  readonly arriving: readonly string[] | undefined;
  readonly leaving: readonly string[] | undefined;
}

/** A port of a Service, and the pod behind it. */
export interface ServedPort {
  readonly address: string;
  readonly protocol: string;
  readonly port: number;
  readonly target: string;
  readonly targetPort: number;
}

/** Input of the packet filter of a pod's namespace. */
export interface PodRules extends Traffic {
  readonly services: readonly ServedPort[];
  /** Address of the guest whose launcher the pod is: all that comes to the pod goes there. */
  readonly guest: string | undefined;
}

/**
 * The packet filter of a pod: the work of kube-proxy (addresses of Services), of KubeVirt's `masquerade` and of a CNI that
 * enforces NetworkPolicies, all in the pod's own namespace. Policies match the final pod, behind any Service.
 */
export function podRules({ services, guest, arriving, leaving }: PodRules): string {
  const serviceRules = services.map(
    ({ address, protocol, port, target, targetPort }) =>
      `ip daddr ${address} ${protocol.toLowerCase()} dport ${port} dnat to ${target}:${targetPort}`,
  );
  return `
table ip pod
delete table ip pod
table ip pod {
  chain arriving {
    type filter hook prerouting priority -110;
    ${filter('iifname "eth0"', arriving)}
  }
  chain incoming {
    type nat hook prerouting priority dstnat;
    ${[...(guest === undefined ? [] : [`iifname "eth0" dnat to ${guest}`]), ...serviceRules].join('\n    ')}
  }
  chain own {
    type nat hook output priority -100;
    ${serviceRules.join('\n    ')}
  }
  chain leaving {
    type filter hook postrouting priority 90;
    ${filter('oifname "eth0"', leaving)}
  }
  chain outgoing {
    type nat hook postrouting priority srcnat;
    ${guest === undefined ? '' : 'oifname "eth0" masquerade'}
  }
}
`;
}

/** Answers always pass: a policy is about who begins. */
function filter(where: string, allowed: readonly string[] | undefined): string {
  if (allowed === undefined) return '';
  const rules = [
    `${where} ct state established,related accept`,
    ...allowed.map((condition) => `${where} ${condition} accept`.replaceAll('  ', ' ')),
    `${where} drop`,
  ];
  return rules.join('\n    ');
}
