const UNITS = [
  { suffix: 'Gi', bytes: 2 ** 30 },
  { suffix: 'Mi', bytes: 2 ** 20 },
] as const;

/** A size as module files write it, exactly: `20Gi`, `512Mi`, or plain bytes. */
export function formatBytes(bytes: number): string {
  const unit = UNITS.find((candidate) => bytes > 0 && bytes % candidate.bytes === 0);
  return unit ? `${bytes / unit.bytes}${unit.suffix}` : `${bytes} bytes`;
}
