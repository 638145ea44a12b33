import { z } from 'zod';

/** Consecutive lines of a machine's first serial port. */
export const serialPieceSchema = z.object({
  time: z.iso.datetime(),
  /** Without newlines and control sequences, secrets masked; untrusted. */
  lines: z.array(z.string()),
  /** True for the last piece: the layer build has ended. */
  ended: z.boolean(),
});

/** With the id to resume after. */
export type SerialPiece = z.infer<typeof serialPieceSchema> & { readonly id: string };

/** Serial output that is kept of a machine, in bytes of UTF-8: about the boot messages of three guests. */
export const SERIAL_KEPT_BYTES = 256 * 1024;
