import {
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  type Packet,
  RECURSION_DESIRED,
  type StringAnswer,
} from 'dns-packet';

/** Addresses of the machines of a module by name: several with several NICs, none before it is known where it is. */
export type NameRecords = Map<string, readonly string[]>;

/** Names that a relay answers by itself. */
export interface KnownNames {
  readonly records: NameRecords;
  /** The machine `web` is also `web.<domain>`, and names below it are never forwarded; empty for none. */
  readonly domain: string;
}

/** RFC 1035 section 4.1.1. */
export const RCODE = { formatError: 1, serverFailure: 2, nameError: 3 } as const;

const RECURSION_AVAILABLE = 1 << 7;
/** Machines may be gone tomorrow under the same name elsewhere: no long memory. */
const TTL_SECONDS = 30;
const REVERSE_ZONE = '.in-addr.arpa';

/** Reads `name=[ip,…]`; names are compared without case. */
export function parseRecords(texts: readonly string[]): NameRecords {
  return new Map(
    texts.map((text) => {
      const [name = '', addresses = ''] = text.split('=');
      return [name.toLowerCase(), addresses.split(',').filter(Boolean)];
    }),
  );
}

/**
 * The answer for a machine of the module (A and PTR; no data for other types), or undefined for any other name outside
 * its domain.
 */
export function answerFromRecords(query: DecodedPacket, { records, domain }: KnownNames): Packet | undefined {
  const [question] = query.questions ?? [];
  if (!question) return undefined;
  const name = question.name.toLowerCase().replace(/\.$/, '');
  const isBelow = domain !== '' && name.endsWith(`.${domain}`);
  const addresses = records.get(isBelow ? name.slice(0, -domain.length - 1) : name);
  const owner = ownerOf(name, records);
  if (!addresses && !owner) return isBelow ? replyTo(query, AUTHORITATIVE_ANSWER | RCODE.nameError) : undefined;
  // Not yet known: a later query gets the address, without a cached negative answer.
  if (addresses?.length === 0) return replyTo(query, RCODE.serverFailure);
  const common = { name: question.name, ttl: TTL_SECONDS };
  const answers: StringAnswer[] = [];
  if (addresses && question.type === 'A') {
    answers.push(...addresses.map((data): StringAnswer => ({ ...common, type: 'A', data })));
  }
  if (owner && question.type === 'PTR') {
    answers.push({ ...common, type: 'PTR', data: owner });
  }
  return { ...replyTo(query, AUTHORITATIVE_ANSWER), answers };
}

/** A reply without data; `rcode` is in the lowest bits of the flags. */
export function replyTo(query: DecodedPacket, flags: number): Packet {
  const asked = (query.flags ?? 0) & RECURSION_DESIRED;
  return {
    type: 'response',
    id: query.id ?? 0,
    flags: asked | RECURSION_AVAILABLE | flags,
    questions: query.questions ?? [],
  };
}

function ownerOf(name: string, records: NameRecords): string | undefined {
  if (!name.endsWith(REVERSE_ZONE)) return undefined;
  const address = name.slice(0, -REVERSE_ZONE.length).split('.').reverse().join('.');
  return [...records].find(([, addresses]) => addresses.includes(address))?.[0];
}
