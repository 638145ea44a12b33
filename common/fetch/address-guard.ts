import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';

/** A server that says nothing for so long is taken for dead. */
const SILENCE_MS = 30_000;

/** Networks that a stranger's URL must not lead the farm's own processes into (IANA special-purpose registries). */
const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ['::', 96],
  ['64:ff9b::', 96],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv6');
}

/** Whether an address is loopback, link-local, private or otherwise not of the public Internet; names are none. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  // A mapped address (::ffff:10.0.0.1) is judged by the IPv4 address in it.
  return family !== 0 && PRIVATE.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * What the farm's own processes connect through when a user's URL is fetched. Without `allowPrivateAddresses` it reaches
 * public addresses only, redirects included. The address checked is the very one connected to, so a name that answers
 * differently the second time gains nothing. The caller destroys it.
 */
export function createGuardedAgent(options: { readonly allowPrivateAddresses: boolean }): Agent {
  const limits = { headersTimeout: SILENCE_MS, bodyTimeout: SILENCE_MS };
  if (options.allowPrivateAddresses) return new Agent(limits);
  const connect = buildConnector({ lookup: guardedLookup });
  return new Agent({
    ...limits,
    connect: (target, callback) => {
      const host = target.hostname.replace(/^\[|\]$/g, '');
      if (isPrivateAddress(host)) return callback(refusal(host), null);
      connect(target, callback);
    },
  });
}

const guardedLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error) return callback(error, []);
    const refused = addresses.find(({ address }) => isPrivateAddress(address));
    if (refused) return callback(refusal(`${hostname} (${refused.address})`), []);
    const [first] = addresses;
    if (options.all || !first) return callback(null, addresses);
    callback(null, first.address, first.family);
  });
};

function refusal(host: string): Error {
  return new Error(`${host} is not a public address (fetch.allowPrivateAddresses)`);
}
