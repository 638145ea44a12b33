import type { Duplex } from 'node:stream';
import { ByteSource } from './byte-source.ts';

/** What a client of NBD reads or writes; one of the methods may be missing. */
export interface NbdDisk {
  readonly sizeBytes: number;
  /** All bytes there, in pieces. */
  read?(offset: number, length: number): Promise<readonly Buffer[]>;
  /** Resolves when it may go on. */
  write?(offset: number, bytes: Buffer): Promise<void>;
}

const OPTION_MAGIC = Buffer.from('IHAVEOPT');
const REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;

/** Fixed newstyle, without zeros after the old form of an answer. */
const HANDSHAKE_FLAGS = 0b11;
const OPTIONS = { abort: 2, go: 7 } as const;
const REPLIES = { ack: 1, info: 3, unsupported: 0x80000001 } as const;
const INFO = { export: 0, blockSize: 3 } as const;
const HAS_FLAGS = 1;
const READ_ONLY = 2;
const COMMANDS = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const INVALID = 22;
const MOST_BYTES = 32 * 1024 ** 2;

/**
 * Serves a disk to one client, request by request in their order, until it disconnects. Rejects when the disk does, and when
 * the connection is cut. Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
export async function serveNbd(connection: Duplex, disk: NbdDisk): Promise<void> {
  const source = new ByteSource(connection);
  if (await negotiate(connection, source, disk)) await transmit(connection, source, disk);
}

/** Whether the client goes on to the disk. */
async function negotiate(connection: Duplex, source: ByteSource, disk: NbdDisk): Promise<boolean> {
  connection.write(Buffer.concat([Buffer.from('NBDMAGIC'), OPTION_MAGIC, uint16(HANDSHAKE_FLAGS)]));
  await source.take(4);
  for (;;) {
    const header = await source.take(16);
    if (!header.subarray(0, 8).equals(OPTION_MAGIC)) throw new Error('The client does not speak NBD');
    const option = header.readUInt32BE(8);
    await source.take(header.readUInt32BE(12));
    const reply = (type: number, content = Buffer.alloc(0)) =>
      connection.write(
        Buffer.concat([uint64(REPLY_MAGIC), uint32(option), uint32(type), uint32(content.length), content]),
      );
    if (option === OPTIONS.abort) return false;
    if (option !== OPTIONS.go) reply(REPLIES.unsupported);
    else {
      const flags = HAS_FLAGS | (disk.write ? 0 : READ_ONLY);
      reply(REPLIES.info, Buffer.concat([uint16(INFO.export), uint64(BigInt(disk.sizeBytes)), uint16(flags)]));
      // Any byte may be asked for; the preferred and the largest request.
      reply(REPLIES.info, Buffer.concat([uint16(INFO.blockSize), uint32(1), uint32(4096), uint32(MOST_BYTES)]));
      reply(REPLIES.ack);
      return true;
    }
  }
}

async function transmit(connection: Duplex, source: ByteSource, disk: NbdDisk): Promise<void> {
  for (;;) {
    const request = await source.take(28);
    if (request.readUInt32BE(0) !== REQUEST_MAGIC) throw new Error('The client does not speak NBD');
    const command = request.readUInt16BE(6);
    const offset = Number(request.readBigUInt64BE(16));
    const length = request.readUInt32BE(24);
    const answer = (error: number, content: readonly Buffer[] = []) => {
      connection.cork();
      connection.write(Buffer.concat([uint32(SIMPLE_REPLY_MAGIC), uint32(error), request.subarray(8, 16)]));
      for (const piece of content) connection.write(piece);
      connection.uncork();
    };
    if (command === COMMANDS.disconnect) return;
    if (length > MOST_BYTES || offset + length > disk.sizeBytes) throw new Error('The client asks beyond the disk');
    if (command === COMMANDS.read && disk.read) answer(0, await disk.read(offset, length));
    else if (command === COMMANDS.write && disk.write) {
      await disk.write(offset, await source.take(length));
      answer(0);
    } else answer(command === COMMANDS.flush ? 0 : INVALID);
  }
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
