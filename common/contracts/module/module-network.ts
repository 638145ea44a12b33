/** Networks of a module, after defaults. */
export interface ModuleNetwork {
  readonly vpcs: readonly Vpc[];
  readonly subnets: readonly Subnet[];
}

export interface Vpc {
  readonly name: string;
  /** `build`: while building only; the published template gets none. */
  readonly internet: 'never' | 'build' | 'always';
  /** Not declared in the file: internet access is preferred, but a cluster without it is accepted. */
  readonly automatic?: true;
}

export interface Subnet {
  readonly name: string;
  readonly vpc: string;
  /** IPv4 in CIDR notation, network address. */
  readonly cidr: string;
  readonly dhcp: boolean;
  /** Servers that DHCP hands out; empty: the relay alone, which forwards to public servers where there is internet. */
  readonly dns: readonly string[];
  /** A bare layer-2 segment whose addressing a guest serves. */
  readonly unmanaged: boolean;
}
