import { type HostCommand, hasNamespace, inNamespace, runSteps } from './ip-command.ts';

/** Addresses of a card in its subnet. */
export interface Sender {
  readonly mac: string;
  readonly ip: string;
}

/** A port of a bridge, in the namespace of the bridge. */
export interface Port {
  readonly namespace: string;
  readonly device: string;
}

/**
 * As with OVN, frames are delivered to the address that a subnet gave to a card, not to those that it hears from it. Needs a
 * port that is plugged in.
 */
export function deliverTo({ namespace, device }: Port, { mac }: Sender): HostCommand[] {
  return [
    ['bridge', '-n', namespace, 'link', 'set', 'dev', device, 'learning', 'off', 'flood', 'off'],
    ['bridge', '-n', namespace, 'fdb', 'replace', mac, 'dev', device, 'master', 'static'],
  ];
}

/**
 * What OVN drops at a port with `port_security` of one MAC and one IPv4 address: all frames, ARP and packets of other
 * senders, and IPv6. A question for an address passes.
 */
export function acceptOnly({ namespace, device }: Port, { mac, ip }: Sender): HostCommand[] {
  const from = `iifname "${device}"`;
  const rules = `
${removal(device)}
table bridge ${tableOf(device)} {
  chain incoming {
    type filter hook prerouting priority -300;
    ${from} ether saddr != ${mac} drop
    ${from} ether type arp arp saddr ether != ${mac} drop
    ${from} ether type arp arp saddr ip != { 0.0.0.0, ${ip} } drop
    ${from} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept
    ${from} ether type ip ip saddr != ${ip} drop
    ${from} ether type ip6 drop
  }
}
`;
  return [inNamespace(namespace, ['nft', rules])];
}

/** Forgets the rules of ports that have gone. */
export async function forgetPorts(namespace: string, devices: readonly string[]): Promise<void> {
  if (!(await hasNamespace(namespace))) return;
  await runSteps([inNamespace(namespace, ['nft', devices.map(removal).join('\n')])]);
}

/** Also of a table that is not there. */
function removal(device: string): string {
  return `table bridge ${tableOf(device)}\ndelete table bridge ${tableOf(device)}`;
}

function tableOf(device: string): string {
  return `port-${device}`;
}
