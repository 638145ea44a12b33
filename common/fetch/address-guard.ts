import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { allowList } from './allowed-addresses.ts';
import { addressKind, familyOf } from './special-addresses.ts';

/** For addresses of the farm's own configuration: everything but link-local and metadata addresses. */
export const ANY_ADDRESS = ['0.0.0.0/0', '::/0'] as const;

/** Decides where a user's URL may lead. */
export interface AddressGuard {
  /**
   * How to look a host up for a connection to a port of it. The addresses that it finds are the very ones connected to, so
   * a name that answers differently the second time gains nothing. @throws when the host is an address that may not be reached
   */
  lookupFor(host: string, port: number): LookupFunction;
}

/**
 * Public addresses may be reached, private ones only where `allowedAddresses` (`fetch.allowedAddresses`) names them,
 * link-local and metadata addresses never.
 */
export function createAddressGuard({
  allowedAddresses,
}: {
  readonly allowedAddresses: readonly string[];
}): AddressGuard {
  const isAllowed = allowList(allowedAddresses);
  const refusal = (host: string, address: string, port: number): Error | undefined => {
    const kind = addressKind(address);
    const shown = host === address ? host : `${host} (${address})`;
    if (kind === 'forbidden')
      return new Error(`${shown} is a link-local or metadata address, which may not be reached`);
    if (kind === 'public' || isAllowed({ host, address, port })) return undefined;
    const how = `name it in fetch.allowedAddresses, or start the farm with slipway up --allow-address ${address}`;
    return new Error(`${shown} is not a public address: ${how}`);
  };
  return {
    lookupFor: (asked, port) => {
      const host = asked.replace(/^\[|\]$/g, '');
      // An address is never looked up.
      const refused = familyOf(host) && refusal(host, host, port);
      if (refused) throw refused;
      return (hostname, options, callback) => {
        lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
          if (error) return callback(error, []);
          const wrong = addresses.map(({ address }) => refusal(hostname, address, port)).find((found) => found);
          if (wrong) return callback(wrong, []);
          const [first] = addresses;
          if (options.all || !first) return callback(null, addresses);
          callback(null, first.address, first.family);
        });
      };
    },
  };
}
