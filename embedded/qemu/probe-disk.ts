/** What the guest of the probe writes to the debug port when it runs in long mode. */
export const PROBE_MARK = 'slipway: a guest runs';

/** SeaBIOS does not start from a disk that is too small to have a geometry. */
const DISK_BYTES = 2 ** 20;

/**
 * A boot sector, with its places in it. It does to the processor what loaders do: interrupts in real mode and in protected mode
 * without paging, with the return from each, then paging and long mode. A hypervisor that emulates some of it stops at the first
 * instruction that it lacks.
 */
const SECTOR: readonly (readonly [offset: number, hex: string])[] = [
  [0x00, 'fa 31c0 8ed8 8ec0 8ed0 bc007c'], //       cli; ds, es, ss = 0; sp = 0x7c00
  [0x0c, 'cd12'], //                                a call of the BIOS
  [0x0e, '0f0116d87c 0f20c0 0c01 0f22c0'], //       lgdt [0x7cd8]; cr0.PE = 1
  [0x1b, 'ea207c0800'], //                          jmp 8:0x7c20, from here on of 32 bits
  [0x20, '66b81000 8ed8 8ec0 8ed0 bc007c0000'], //  ds, es, ss = 16; esp = 0x7c00
  [0x2f, '0f011dde7c0000 cd00'], //                 lidt [0x7cde]; int 0
  [0x38, 'bf00100000 0f22df 31c0 b9000c0000 f3ab'], // cr3 = 0x1000; clear 12 KiB there
  [0x49, 'c7050010000003200000'], //                level 4: the table at 0x2000
  [0x53, 'c7050020000003300000'], //                level 3: the table at 0x3000
  [0x5d, 'c7050030000083000000'], //                level 2: the first 2 MiB
  [0x67, '0f20e0 0c20 0f22e0'], //                  cr4.PAE = 1
  [0x6f, 'b9800000c0 0f32 80cc01 0f30'], //         EFER.LME = 1
  [0x7b, '0f20c0 0d00000080 0f22c0'], //            cr0.PG = 1
  [0x86, 'ea8e7c00001800'], //                      jmp 24:0x7c8e, from here on of 64 bits
  [0x8d, 'cf'], //                                  the handler of int 0: iret
  [0x8e, 'be007d0000 b915000000 66ba0204 f36e'], // write 21 bytes from 0x7d00 to port 0x402
  [0x9e, 'f4 ebfd'], //                             hlt, without end
  [0xb0, '0000000000000000 ffff0000009acf00'], //   segments: none, code of 32 bits,
  [0xc0, 'ffff00000092cf00 ffff0000009aaf00'], //   data, code of 64 bits
  [0xd0, '8d7c0800008e0000'], //                    interrupt gate: 8:0x7c8d
  [0xd8, '1f00b07c0000 0700d07c0000'], //           descriptors of the two tables
  [0x100, Buffer.from(PROBE_MARK).toString('hex')],
  [0x1fe, '55aa'],
];

/** A raw disk image with that boot sector. */
export function probeDisk(): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  for (const [offset, hex] of SECTOR) disk.write(hex.replaceAll(' ', ''), offset, 'hex');
  return disk;
}
