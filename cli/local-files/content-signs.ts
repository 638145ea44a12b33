import { closeSync, openSync, readSync } from 'node:fs';
import type { ContentSigns } from '../../common/contracts/local-files.ts';
import { foreignContent } from '../../common/image/foreign-content.ts';
import { compressionOf, HEAD_BYTES } from '../../common/image/probe-image.ts';
import { otherThanText } from '../../common/text/script-text.ts';

/** ISO 9660 and UDF describe themselves from sector 16 on. */
const SECTOR = 2048;
const FIRST_DESCRIPTOR = 16 * SECTOR;
const DESCRIPTORS = 8;

/** Findings from the first bytes of a file. */
export function contentSigns(path: string): ContentSigns {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(HEAD_BYTES);
    const head = bytes.subarray(0, readSync(file, bytes, 0, HEAD_BYTES, 0));
    return {
      notAnImage: foreignContent(head) ?? null,
      isIso: compressionOf(head) !== undefined || hasVolume(head),
      notAScript: otherThanText(head) ?? null,
      hasCrlf: head.includes('\r\n'),
    };
  } finally {
    closeSync(file);
  }
}

function hasVolume(head: Buffer): boolean {
  return Array.from({ length: DESCRIPTORS }, (_, index) => FIRST_DESCRIPTOR + index * SECTOR).some((at) =>
    ['CD001', 'BEA01', 'NSR02', 'NSR03'].includes(head.toString('latin1', at + 1, at + 6)),
  );
}
