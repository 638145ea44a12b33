const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const EXACT_UNITS = [
  { suffix: 'Gi', bytes: 2 ** 30 },
  { suffix: 'Mi', bytes: 2 ** 20 },
] as const;

/** A size for people to read, rounded: `1.5 GiB`. */
export function sizeText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), BYTES.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${BYTES[power]}`;
}

/** Storage of an image, and its own part; `-` when not reported by the cluster. */
export function onDiskText(image: { readonly ownBytes: number | null; readonly usedBytes: number | null }): string {
  const { ownBytes, usedBytes } = image;
  return ownBytes === null || usedBytes === null ? '-' : `${sizeText(usedBytes)}, own ${sizeText(ownBytes)}`;
}

/** A size as module files write it, exactly: `20Gi`, `512Mi`, or plain bytes. */
export function exactSize(bytes: number): string {
  const unit = EXACT_UNITS.find((candidate) => bytes > 0 && bytes % candidate.bytes === 0);
  return unit ? `${bytes / unit.bytes}${unit.suffix}` : `${bytes} bytes`;
}
