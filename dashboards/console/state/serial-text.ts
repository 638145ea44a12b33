import type { MessageOf } from '../../../common/contracts/api/request.ts';
import { printable } from '../../../common/text/printable.ts';

/** As many lines as a page bears. */
const MAX_LINES = 2_000;

/** Serial output of a machine; cleaned for display. */
export interface SerialText {
  readonly lines: readonly string[];
  readonly hasEnded: boolean;
}

export const NOTHING_SAID: SerialText = { lines: [], hasEnded: false };

export function addPiece({ lines }: SerialText, piece: MessageOf<'streamSerial'>): SerialText {
  return { lines: [...lines, ...piece.lines.map(printable)].slice(-MAX_LINES), hasEnded: piece.ended };
}
