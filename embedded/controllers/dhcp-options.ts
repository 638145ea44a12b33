/** The supported part of KubeOVN's `dhcpV4Options`. */
export interface SubnetDhcpOptions {
  readonly leaseSeconds?: number;
  readonly router?: string;
  readonly nameServers: readonly string[];
}

/**
 * Reads `lease_time=3600,router=10.0.0.1,dns_server={8.8.8.8;1.1.1.1}`. Several name servers are in braces with
 * semicolons; what OVN does not understand it ignores, and so does this.
 */
export function parseDhcpOptions(text: string): SubnetDhcpOptions {
  const values = new Map(
    text.split(',').map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
    }),
  );
  const leaseSeconds = Number(values.get('lease_time'));
  const router = values.get('router');
  const nameServers = (values.get('dns_server') ?? '').replaceAll(/[{}]/g, '').split(';');
  return {
    ...(leaseSeconds > 0 ? { leaseSeconds } : {}),
    ...(router ? { router } : {}),
    nameServers: nameServers.map((server) => server.trim()).filter((server) => server !== ''),
  };
}
