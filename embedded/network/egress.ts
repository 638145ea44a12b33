import { readFile, writeFile } from 'node:fs/promises';
import { hasErrorCode } from '../../common/errors/error-code.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { METADATA_IPV4, PRIVATE_IPV4 } from '../../common/fetch/special-addresses.ts';
import { formatIpv4, parseIpv4 } from '../../common/text/ipv4.ts';
import { type HostLayout, shortHash } from '../host/layout.ts';
import { runCommand } from '../host/run-command.ts';
import {
  hasNamespace,
  type Interface,
  interfacesOf,
  ip,
  removeInterfaces,
  runInNamespace,
  runSteps,
} from './ip-command.ts';

/** Transit networks of four addresses are taken from the shared address space of RFC 6598. */
const TRANSIT_BASE = '100.80.0.0';
const TRANSIT_COUNT = 2 ** 16;
/** All of them. */
export const TRANSIT_NETWORK = `${TRANSIT_BASE}/14`;

/** The way out of a VPC. */
export interface EgressOptions {
  readonly layout: HostLayout;
  readonly vpc: string;
  readonly namespace: string;
  /** Source networks that may leave; all of the VPC when empty. */
  readonly sources: readonly string[];
  /** Networks that the VPC itself makes unreachable. */
  readonly denied: readonly string[];
  /** Private networks that guests may reach all the same, e.g. `10.1.0.0/16`. */
  readonly allowedNetworks: readonly string[];
}

/** The host's end of the VPC's veth pair. */
function hostEnd({ layout, vpc }: Pick<EgressOptions, 'layout' | 'vpc'>): string {
  return `${layout.prefix}${shortHash(vpc, 5)}`;
}

/**
 * Lets a VPC out: a veth pair to the host, translated once when it leaves the VPC and once when it leaves the host, so
 * VPCs with the same addresses do not disturb each other. What arrives there is only ever forwarded to the internet: never
 * to the host's own services, another VPC, metadata services, or private networks that are not allowed. Returns the two transit addresses (inside, host).
 */
export async function openEgress(options: EgressOptions): Promise<{ readonly inside: string; readonly host: string }> {
  const device = hostEnd(options);
  const interfaces = await interfacesOf();
  const known = interfaces.find(({ ifname }) => ifname === device)?.addr_info[0]?.local;
  const host = known ?? freeTransit(options, interfaces);
  const inside = formatIpv4((parseIpv4(host) ?? 0) + 1);
  await Promise.all([
    runInNamespace(options.namespace, ['nft', '-f', '-'], vpcRules(options)),
    runCommand('nft', ['-f', '-'], { input: hostRules(options) }),
  ]);
  if (known === undefined) await connect(options, { device, host, inside });
  await allowForwarding(device);
  return { inside, host };
}

/** Cuts a VPC off again. */
export async function closeEgress(options: Pick<EgressOptions, 'layout' | 'vpc' | 'namespace'>): Promise<void> {
  await removeInterfaces(undefined, [hostEnd(options)]);
  if (!(await hasNamespace(options.namespace))) return;
  await runInNamespace(options.namespace, ['nft', '-f', '-'], 'table ip egress\ndelete table ip egress\n');
}

/** Removes the host's part: the table and, after a crash, remaining interfaces. Without `nft` there is no table. */
export async function removeHostEgress(layout: HostLayout): Promise<void> {
  const names = (await interfacesOf()).map(({ ifname }) => ifname).filter((name) => name.startsWith(layout.prefix));
  await removeInterfaces(undefined, names);
  const table = layout.prefix;
  try {
    await runCommand('nft', ['-f', '-'], { input: `table ip ${table}\ndelete table ip ${table}\n` });
  } catch (error) {
    if (!(error instanceof FarmError && error.code === 'ClusterUnfit')) throw error;
  }
}

/** The host's end of a transit network that no interface has yet. */
function freeTransit({ layout, vpc }: EgressOptions, interfaces: readonly Interface[]): string {
  const taken = new Set(interfaces.flatMap(({ addr_info }) => addr_info.map(({ local }) => local)));
  const base = parseIpv4(TRANSIT_BASE) ?? 0;
  let index = Number.parseInt(shortHash(`${layout.dataDir}/${vpc}`, 8), 16) % TRANSIT_COUNT;
  while (taken.has(formatIpv4(base + 4 * index + 1))) index = (index + 1) % TRANSIT_COUNT;
  return formatIpv4(base + 4 * index + 1);
}

interface Transit {
  readonly device: string;
  readonly host: string;
  readonly inside: string;
}

async function connect({ namespace }: EgressOptions, { device, host, inside }: Transit): Promise<void> {
  await removeInterfaces(namespace, ['egress']);
  await runSteps([ip(undefined, `link add ${device} type veth peer name egress netns ${namespace}`)]);
  await refuseIpv6(device);
  await runSteps([
    ip(undefined, `link set ${device} up`),
    ip(namespace, `addr add ${inside}/30 dev egress`),
    ip(namespace, 'link set egress up'),
    ip(namespace, `route replace default via ${host} dev egress`),
    // The mark of a way that is whole.
    ip(undefined, `addr add ${host}/30 dev ${device}`),
  ]);
}

function vpcRules({ sources, denied }: Pick<EgressOptions, 'sources' | 'denied'>): string {
  const drop = [
    ...(sources.length === 0 ? [] : [`oifname "egress" ip saddr != { ${sources.join(', ')} } drop`]),
    ...denied.map((network) => `oifname "egress" ip daddr ${network} drop`),
  ].join('\n    ');
  return `
table ip egress
delete table ip egress
table ip egress {
  chain forward {
    type filter hook forward priority filter;
    ${drop}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "egress" masquerade
  }
}
`;
}

/** Read per prefix, so one table serves all VPCs of the cluster and a rewrite is always the same text. */
function hostRules({ layout: { prefix }, allowedNetworks }: Pick<EgressOptions, 'layout' | 'allowedNetworks'>): string {
  const from = `iifname "${prefix}*"`;
  const set = (networks: typeof PRIVATE_IPV4) =>
    `{ ${networks.map(([network, bits]) => `${network}/${bits}`).join(', ')} }`;
  return `
table ip ${prefix}
delete table ip ${prefix}
table ip ${prefix} {
  chain input {
    type filter hook input priority filter;
    iifname "${prefix}*" ct state established,related accept
    iifname "${prefix}*" drop
  }
  chain forward {
    type filter hook forward priority filter;
    ${from} oifname "sw*" drop
    ${from} ip daddr ${set(METADATA_IPV4)} drop
    ${allowedNetworks.map((network) => `${from} ip daddr ${network} accept`).join('\n    ')}
    ${from} ip daddr ${set(PRIVATE_IPV4)} drop
    oifname "${prefix}*" ct state established,related accept
    oifname "${prefix}*" drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr ${TRANSIT_BASE}/14 oifname != "sw*" masquerade
  }
}
`;
}

/** The rules cover IPv4 only: without this the host would answer on a link-local address. A kernel may have no IPv6 at all. */
async function refuseIpv6(device: string): Promise<void> {
  await writeFile(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, '1', { flag: 'r+' }).catch((error: unknown) => {
    if (!hasErrorCode(error, 'ENOENT')) throw error;
  });
}

/** Forwarding is asked for per interface, not for the host as a whole: the VPC's, and those that lead outside. */
async function allowForwarding(device: string): Promise<void> {
  const routes = JSON.parse((await runCommand('ip', ['-j', '-4', 'route', 'show', 'default'])) || '[]') as {
    dev: string;
  }[];
  const devices = [device, ...new Set(routes.map(({ dev }) => dev))];
  const closed: string[] = [];
  for (const name of devices) {
    const setting = `/proc/sys/net/ipv4/conf/${name}/forwarding`;
    if ((await readFile(setting, 'utf8')).trim() !== '1') closed.push(`echo 1 > ${setting}`);
  }
  if (closed.length > 0) await runCommand('sh', ['-c', closed.join('\n')]);
}
