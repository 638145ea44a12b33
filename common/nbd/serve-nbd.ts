import type { Duplex } from 'node:stream';
import { ByteSource } from './byte-source.ts';
import { type Run, zeros } from './run.ts';

/** What is at a place of a disk: zeros for so many bytes, or data, or what is not known. */
export interface Extent {
  readonly length: number;
  readonly isZero: boolean;
}

/** What a client of NBD reads or writes; one of the methods may be missing. */
export interface NbdDisk {
  readonly sizeBytes: number;
  /** All bytes there. */
  read?(offset: number, length: number): Promise<readonly Run[]>;
  /** For clients that pass over zeros without reading them. */
  extent?(offset: number, most: number): Promise<Extent>;
  /** Resolves when it may continue. */
  write?(offset: number, pieces: readonly Buffer[]): Promise<void>;
}

const OPTION_MAGIC = Buffer.from('IHAVEOPT');
const REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;
const CHUNK_MAGIC = 0x668e33ef;

/** Fixed newstyle, without zeros after the old form of an answer. */
const HANDSHAKE_FLAGS = 0b11;
const OPTIONS = { abort: 2, go: 7, structuredReply: 8, setMetaContext: 10 } as const;
const REPLIES = { ack: 1, info: 3, metaContext: 4, unsupported: 0x80000001 } as const;
const INFO = { export: 0, blockSize: 3 } as const;
const HAS_FLAGS = 1;
const READ_ONLY = 2;
const COMMANDS = { read: 0, write: 1, disconnect: 2, flush: 3, blockStatus: 7 } as const;
const CHUNKS = { none: 0, data: 1, hole: 2, blockStatus: 5 } as const;
const LAST_CHUNK = 1;
/** The only metadata that is served: which parts of the disk are holes that read as zeros. */
const ALLOCATION = 'base:allocation';
const ALLOCATION_ID = 1;
const HOLE_OF_ZEROS = 0b11;
const INVALID = 22;
const MOST_BYTES = 32 * 1024 ** 2;

/**
 * Serves a disk to one client, request by request in their order, until it disconnects. Rejects when the disk does, and when
 * the connection is cut. Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
export async function serveNbd(connection: Duplex, disk: NbdDisk): Promise<void> {
  const source = new ByteSource(connection);
  const agreed = await negotiate(connection, source, disk);
  if (agreed) await transmit({ connection, source, disk, ...agreed });
}

/** How the client continues to the disk; null: it does not. */
async function negotiate(
  connection: Duplex,
  source: ByteSource,
  disk: NbdDisk,
): Promise<{ readonly isStructured: boolean } | null> {
  connection.write(Buffer.concat([Buffer.from('NBDMAGIC'), OPTION_MAGIC, uint16(HANDSHAKE_FLAGS)]));
  await source.take(4);
  let isStructured = false;
  for (;;) {
    const header = await source.take(16);
    if (!header.subarray(0, 8).equals(OPTION_MAGIC)) throw new Error('The client does not speak NBD');
    const option = header.readUInt32BE(8);
    const asked = await source.take(header.readUInt32BE(12));
    const reply = (type: number, content?: Buffer) => connection.write(optionReply(option, type, content));
    switch (option) {
      case OPTIONS.abort:
        return null;
      case OPTIONS.structuredReply:
        isStructured = true;
        reply(REPLIES.ack);
        break;
      case OPTIONS.setMetaContext:
        if (disk.extent && asked.includes(ALLOCATION)) {
          reply(REPLIES.metaContext, Buffer.concat([uint32(ALLOCATION_ID), Buffer.from(ALLOCATION)]));
        }
        reply(REPLIES.ack);
        break;
      case OPTIONS.go:
        for (const info of diskInfos(disk)) reply(REPLIES.info, info);
        reply(REPLIES.ack);
        return { isStructured };
      default:
        reply(REPLIES.unsupported);
    }
  }
}

function optionReply(option: number, type: number, content: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([uint64(REPLY_MAGIC), uint32(option), uint32(type), uint32(content.length), content]);
}

/** Size and flags of the disk; then, as any byte may be asked for, the preferred and the largest request. */
function diskInfos(disk: NbdDisk): readonly Buffer[] {
  const flags = HAS_FLAGS | (disk.write ? 0 : READ_ONLY);
  return [
    Buffer.concat([uint16(INFO.export), uint64(BigInt(disk.sizeBytes)), uint16(flags)]),
    Buffer.concat([uint16(INFO.blockSize), uint32(1), uint32(4096), uint32(MOST_BYTES)]),
  ];
}

interface Transmission {
  readonly connection: Duplex;
  readonly source: ByteSource;
  readonly disk: NbdDisk;
  /** Whether answers of reads are in chunks, of which those of zeros carry none. */
  readonly isStructured: boolean;
}

async function transmit({ connection, source, disk, isStructured }: Transmission): Promise<void> {
  for (;;) {
    const request = await source.take(28);
    if (request.readUInt32BE(0) !== REQUEST_MAGIC) throw new Error('The client does not speak NBD');
    const command = request.readUInt16BE(6);
    const cookie = request.subarray(8, 16);
    const offset = Number(request.readBigUInt64BE(16));
    const length = request.readUInt32BE(24);
    const send = (pieces: Iterable<Buffer>) => {
      connection.cork();
      for (const piece of pieces) connection.write(piece);
      connection.uncork();
    };
    const simple = (error: number) => Buffer.concat([uint32(SIMPLE_REPLY_MAGIC), uint32(error), cookie]);
    if (command === COMMANDS.disconnect) return;
    const isTooLong = length > MOST_BYTES && command !== COMMANDS.blockStatus;
    if (isTooLong || offset + length > disk.sizeBytes) throw new Error('The client asks beyond the disk');
    if (command === COMMANDS.read && disk.read) {
      const runs = await disk.read(offset, length);
      send(isStructured ? chunksOf(runs, { cookie, offset }) : [simple(0), ...runs.flatMap(bytesOf)]);
    } else if (command === COMMANDS.write && disk.write) {
      const pieces: Buffer[] = [];
      for await (const piece of source.pieces(length)) pieces.push(piece);
      await disk.write(offset, pieces);
      send([simple(0)]);
    } else if (command === COMMANDS.blockStatus && disk.extent && isStructured) {
      const { length: known, isZero } = await disk.extent(offset, length);
      const content = [uint32(ALLOCATION_ID), uint32(known), uint32(isZero ? HOLE_OF_ZEROS : 0)];
      send([chunk({ cookie, type: CHUNKS.blockStatus, isLast: true, length: 12 }), ...content]);
    } else send([simple(command === COMMANDS.flush ? 0 : INVALID)]);
  }
}

/** The answer of a read: what is zero is named only. */
function* chunksOf(
  runs: readonly Run[],
  { cookie, offset }: { readonly cookie: Buffer; readonly offset: number },
): Generator<Buffer> {
  let at = offset;
  for (let index = 0; index < runs.length; ) {
    const isZero = runs[index]?.bytes === null;
    const next = runs.findIndex(({ bytes }, other) => other > index && (bytes === null) !== isZero);
    const end = next < 0 ? runs.length : next;
    const alike = runs.slice(index, end);
    const length = alike.reduce((sum, run) => sum + run.length, 0);
    const type = isZero ? CHUNKS.hole : CHUNKS.data;
    yield chunk({ cookie, type, isLast: end === runs.length, length: isZero ? 12 : 8 + length });
    yield isZero ? Buffer.concat([uint64(BigInt(at)), uint32(length)]) : uint64(BigInt(at));
    for (const { bytes } of alike) if (bytes) yield bytes;
    at += length;
    index = end;
  }
  if (runs.length === 0) yield chunk({ cookie, type: CHUNKS.none, isLast: true, length: 0 });
}

function bytesOf({ length, bytes }: Run): Buffer[] {
  return bytes ? [bytes] : [...zeros(length)];
}

/** Head of a chunk of an answer. */
function chunk({ cookie, type, isLast, length }: ChunkHead): Buffer {
  return Buffer.concat([uint32(CHUNK_MAGIC), uint16(isLast ? LAST_CHUNK : 0), uint16(type), cookie, uint32(length)]);
}

interface ChunkHead {
  readonly cookie: Buffer;
  readonly type: number;
  readonly isLast: boolean;
  /** Of the content. */
  readonly length: number;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
