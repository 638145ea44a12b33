import { BlockList } from 'node:net';
import { familyOf } from './special-addresses.ts';

/** Addresses that one entry of `fetch.allowedAddresses` covers. */
interface AllowedAddress {
  /** Of the URL: in lower case. Undefined where the entry is a network. */
  readonly name: string | undefined;
  readonly network: BlockList;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

const ENTRY = /^(?:\[(?<inBrackets>[^\]]+)\]|(?<plain>[^:[\]]+))(?::(?<port>\d{1,5}))?$/;
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i;

/**
 * Complaint about an entry of `fetch.allowedAddresses`: an address (`10.1.2.3`), a network (`10.0.0.0/8`), or a host name as
 * URLs have it (`media.lan`); with a port only that one (`127.0.0.1:8080`, `[fd00::/8]:80`).
 */
export function complaintAbout(entry: string): string | undefined {
  if (parse(entry) !== undefined) return undefined;
  const forms = 'write 10.1.2.3, 10.0.0.0/8 or media.lan, each with :PORT for one port only';
  return `${JSON.stringify(entry)} is not an address, network or host name: ${forms}`;
}

/** Returns whether a private address is allowed: by itself, or by the name that led to it. */
export function allowList(
  entries: readonly string[],
): (target: { readonly host: string; readonly address: string; readonly port: number }) => boolean {
  const allowed = entries.map(parse).filter((entry) => entry !== undefined);
  return ({ host, address, port }) =>
    allowed.some((entry) => {
      if (entry.port !== undefined && entry.port !== port) return false;
      return entry.name === host.toLowerCase() || entry.network.check(address, familyOf(address) ?? 'ipv4');
    });
}

function parse(text: string): AllowedAddress | undefined {
  const { inBrackets, plain = '', port } = ENTRY.exec(text)?.groups ?? {};
  const who = inBrackets ?? (plain || text);
  const number = port === undefined ? undefined : Number(port);
  if (number !== undefined && (number < 1 || number > 65_535)) return undefined;
  const [address = '', bits, more] = who.split('/');
  const family = familyOf(address);
  const network = new BlockList();
  if (family === undefined) {
    return NAME.test(who) && !/^[\d.]+$/.test(who) ? { name: who.toLowerCase(), network, port: number } : undefined;
  }
  const most = family === 'ipv4' ? 32 : 128;
  const length = bits === undefined ? most : /^\d+$/.test(bits) ? Number(bits) : Number.NaN;
  if (more !== undefined || !(length <= most)) return undefined;
  network.addSubnet(address, length, family);
  return { name: undefined, network, port: number };
}
