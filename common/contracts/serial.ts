import { z } from 'zod';

/** Lines that a machine has said at its first serial port, one after the other. */
export const serialPieceSchema = z.object({
  time: z.iso.datetime(),
  /** Without newlines and control sequences, secrets masked; untrusted. */
  lines: z.array(z.string()),
  /** True for the last piece: the layer build has ended. */
  ended: z.boolean(),
});

/** With the id to resume after. */
export type SerialPiece = z.infer<typeof serialPieceSchema> & { readonly id: string };

/** How much of what a machine says is kept, in bytes of UTF-8: about the boot messages of three guests. */
export const SERIAL_KEPT_BYTES = 256 * 1024;
