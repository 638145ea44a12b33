interface MeterProps {
  readonly name: string;
  readonly used: number;
  readonly limit: number;
  /** Formats of amounts. */
  readonly format?: (amount: number) => string;
}

/** How much of a limit is used, as a bar and in words. */
export function Meter({ name, used, limit, format = String }: MeterProps) {
  const share = Math.min(1, used / limit);
  return (
    <div class="meter">
      <span>{name}</span>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track" width="100" height="8" />
        <rect class={share >= 1 ? 'full' : 'used'} width={share * 100} height="8" />
      </svg>
      <span class="number">
        {format(used)} <span class="quiet">of {format(limit)}</span>
      </span>
    </div>
  );
}
