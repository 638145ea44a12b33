import type { Measurement } from './measurement.ts';

const ROW = 26;
const LABELS_WIDTH = 460;
const BAR_WIDTH = 360;
/** Bars end here: so many times the target, or a fraction of it. */
const DECADES = 2;

/** The measurements that have a target as bars on a logarithmic scale: the line in the middle is the target. */
export function drawPlot(measurements: readonly Measurement[]): string {
  const rows = measurements.flatMap((measurement, index) => {
    const target = readTarget(measurement.target);
    return target === null ? [] : [{ ...measurement, ...target, index }];
  });
  const middle = LABELS_WIDTH + BAR_WIDTH / 2;
  const bars = rows.map(({ what, value, unit, target, limit, isLeast }, row) => {
    const y = 10 + row * ROW;
    const decades = Math.max(-DECADES, Math.min(DECADES, Math.log10(Math.max(value, 1e-9) / limit)));
    const x = middle + (decades * BAR_WIDTH) / 2 / DECADES;
    const colour = (isLeast ? value >= limit : value <= limit) ? '#2e7d32' : '#c62828';
    const text = `${Number(value.toPrecision(3))} ${unit} (${target})`;
    return [
      `<text x="${LABELS_WIDTH - 10}" y="${y + 15}" text-anchor="end">${escaped(what)}</text>`,
      `<rect x="${Math.min(x, middle)}" y="${y + 3}" width="${Math.abs(x - middle)}" height="16" fill="${colour}"/>`,
      `<text x="${LABELS_WIDTH + BAR_WIDTH + 10}" y="${y + 15}">${escaped(text)}</text>`,
    ].join('\n');
  });
  const height = 20 + rows.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="1060" height="${height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${bars.join('\n')}
<line x1="${middle}" y1="0" x2="${middle}" y2="${height}" stroke="black"/>
</svg>
`;
}

function readTarget(target: string): { readonly limit: number; readonly isLeast: boolean } | null {
  const [, sign, limit] = /^([<>])=? ([\d.]+)/.exec(target) ?? [];
  return limit === undefined ? null : { limit: Number(limit), isLeast: sign === '>' };
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
