import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * unpack-kernel.ts VMLINUZ OUT: the same kernel for a BIOS boot loader, unpacked. Under emulation a kernel spends a third
 * of a boot on unpacking itself. Fields and entry state: Documentation/arch/x86/boot.rst of Linux; ELF: elf(5).
 */

/** Where boot loaders put the part of a kernel that runs in protected mode, and jump to in 32-bit mode. */
const LOADED_AT = 0x100000;
const PAGE = 0x1000;
const MIB = 0x100000;

const [, , from, to] = process.argv;
if (!from || !to) throw new Error('Usage: unpack-kernel.ts VMLINUZ OUT');
const packed = readFileSync(from);
const setupLength = (packed.readUInt8(0x1f1) + 1) * 512;
const payloadAt = setupLength + packed.readUInt32LE(0x248);
const payload = packed.subarray(payloadAt, payloadAt + packed.readUInt32LE(0x24c));
// Others, such as LZ4, unpack fast enough.
const isXz = payload.subarray(1, 5).toString() === '7zXZ';
writeFileSync(to, isXz ? unpackedKernel() : packed);

function unpackedKernel(): Buffer {
  const elf = execFileSync('xz', ['--decompress', '--stdout', '--single-stream'], {
    input: payload,
    maxBuffer: 2 ** 28,
  });
  const { address, image } = flatten(elf);
  const setup = Buffer.from(packed.subarray(0, setupLength));
  const body = Buffer.concat([entry(address, image.length), image]);
  setup.writeUInt32LE(body.length / 16, 0x1f4); // syssize
  setup.writeUInt8(0, 0x234); // relocatable_kernel
  return Buffer.concat([setup, body]);
}

/** What lies in memory when the segments are loaded at their physical addresses. The zeros at the end are the kernel's to make. */
function flatten(elf: Buffer): { readonly address: number; readonly image: Buffer } {
  const headersAt = Number(elf.readBigUInt64LE(0x20));
  const segments = Array.from({ length: elf.readUInt16LE(0x38) }, (_, index) => headersAt + index * 56)
    .filter((at) => elf.readUInt32LE(at) === 1) // PT_LOAD
    .map((at) => {
      const field = (offset: number) => Number(elf.readBigUInt64LE(at + offset));
      return { address: field(24), bytes: elf.subarray(field(8), field(8) + field(32)) };
    });
  const address = Math.min(...segments.map((segment) => segment.address));
  const image = Buffer.alloc(Math.max(...segments.map((segment) => segment.address + segment.bytes.length)) - address);
  for (const segment of segments) segment.bytes.copy(image, segment.address - address);
  const used = image.findLastIndex((byte) => byte !== 0) + 1;
  return { address, image: image.subarray(0, Math.ceil(used / PAGE) * PAGE) };
}

/**
 * What stands before the image and is entered first: moves the image to its address and enters it in 64-bit mode, with
 * the first 4 GiB mapped to themselves and `boot_params` in rsi.
 */
function entry(address: number, length: number): Buffer {
  const [tables, descriptors, pointer, in64] = [LOADED_AT + PAGE, LOADED_AT + 0x80, LOADED_AT + 0x70, LOADED_AT + 0x60];
  const code = Buffer.alloc(PAGE);
  const imageAt = LOADED_AT + PAGE + pageTables(tables).length;
  const put = (at: number, ...hex: string[]) => code.write(hex.join('').replaceAll(' ', ''), at, 'hex');
  put(
    0,
    '89 f3', // mov ebx, esi
    `be ${word(imageAt + length - 4)}`, // mov esi, its last word; from the end, as source and destination overlap
    `bf ${word(address + length - 4)}`, // mov edi
    `b9 ${word(length / 4)}`, // mov ecx
    'fd f3 a5 fc', // std; rep movsd; cld
    '89 de', // mov esi, ebx
    `0f 01 15 ${word(pointer)}`, // lgdt
    '0f 20 e0 83 c8 20 0f 22 e0', // cr4 |= PAE
    `b8 ${word(tables)} 0f 22 d8`, // cr3 = tables
    'b9 80 00 00 c0 0f 32 0d 00 01 00 00 0f 30', // EFER |= LME
    'b8 01 00 00 80 0f 22 c0', // cr0 = PG | PE
    `ea ${word(in64)} 10 00`, // jmp 0x10:in64
  );
  put(in64 - LOADED_AT, '89 f6', `b8 ${word(address)}`, 'ff e0'); // mov esi, esi; mov eax, address; jmp rax
  put(pointer - LOADED_AT, '1f 00', word(descriptors));
  put(descriptors - LOADED_AT + 0x10, 'ff ff 00 00 00 9a af 00', 'ff ff 00 00 00 92 cf 00'); // 64-bit code, data
  return Buffer.concat([code, pageTables(tables)]);
}

/** One table of the fourth level, one of the third, four of the second with pages of 2 MiB. */
function pageTables(at: number): Buffer {
  const [WRITABLE, LARGE] = [0x3, 0x83]; // both present
  const tables = Buffer.alloc(6 * PAGE);
  const put = (offset: number, value: number) => tables.writeBigUInt64LE(BigInt(value), offset);
  put(0, (at + PAGE) | WRITABLE);
  for (let gib = 0; gib < 4; gib += 1) put(PAGE + gib * 8, (at + (2 + gib) * PAGE) | WRITABLE);
  for (let page = 0; page < 2048; page += 1) put(2 * PAGE + page * 8, page * 2 * MIB + LARGE);
  return tables;
}

/** 32 bits, the lowest byte first, in hexadecimal. */
function word(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString('hex');
}
