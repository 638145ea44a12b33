import type { Pod } from '../../common/kubernetes/objects.ts';
import { RELAY_CONTROL_PORT } from '../../common/kubernetes/relay-tunnel.ts';
import { restrictedPod } from '../../common/kubernetes/restricted-pod.ts';

/** Ports of a relay. Guests see `http` as `{{ .HTTPPort }}`; `control` is on the pod's loopback only. */
export const RELAY_PORTS = { control: RELAY_CONTROL_PORT, http: 8080, dns: 53 } as const;

/** Parameters of a relay at its creation. */
export interface RelayPodOptions {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Annotations that place it in the cluster's network. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly image: string;
  /** Where it listens. */
  readonly address: string;
  /** Networks in which workers may reach guests through it, in CIDR notation. */
  readonly networks: readonly string[];
  /** Suffixes of the names of the machines. */
  readonly domain: string;
  /** Addresses of the module's machines by name; none for one of which it hears later. */
  readonly records: Readonly<Record<string, readonly string[]>>;
  readonly upstreams: readonly string[];
  readonly maxFileBytes: number;
}

const FILES_DIR = '/files';
const MIB = 1024 * 1024;

/** The Pod of a relay. */
export function relayPod(options: RelayPodOptions): Pod {
  const { name, labels, annotations, image, maxFileBytes } = options;
  return restrictedPod({
    metadata: { name, labels: { ...labels }, annotations: { ...annotations } },
    name: 'relay',
    image,
    args: relayFlags(options),
    user: 65_532,
    // Port 53 without a capability; on Kubernetes' list of safe sysctls.
    sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }],
    container: { volumeMounts: [{ name: 'files', mountPath: FILES_DIR }] },
    // Room for a file that is being replaced; kubelet evicts beyond the limit.
    volumes: [{ name: 'files', emptyDir: { sizeLimit: `${Math.ceil((2 * maxFileBytes) / MIB) + 16}Mi` } }],
  });
}

function relayFlags({ address, networks, domain, records, upstreams, maxFileBytes }: RelayPodOptions): string[] {
  return [
    ...['--address', address],
    ...['--control-port', String(RELAY_PORTS.control)],
    ...['--http-port', String(RELAY_PORTS.http)],
    ...['--dns-port', String(RELAY_PORTS.dns)],
    ...['--files', FILES_DIR],
    ...['--max-file-bytes', String(maxFileBytes)],
    ...['--domain', domain],
    ...networks.flatMap((network) => ['--network', network]),
    ...Object.entries(records).flatMap(([name, addresses]) => ['--record', `${name}=${addresses.join(',')}`]),
    ...upstreams.flatMap((server) => ['--upstream', server]),
  ];
}
