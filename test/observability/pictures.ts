import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Series } from './prometheus.ts';

/** What a query of a panel has shown. */
export interface Shown {
  /** `page / panel / legend` */
  readonly name: string;
  readonly series: readonly Series[];
}

const COLUMNS = 3;
const [WIDTH, HEIGHT, MARGIN, HEAD] = [400, 170, 12, 34];
const COLOURS = ['#3274d9', '#e0752d', '#2f9e44', '#c4162a', '#8f3bb8', '#b5a200', '#0a9aa6', '#6e6e6e'];

/** Writes one SVG per page: each panel as plain lines, with the largest value that it showed. */
export function drawPages(folder: string, shown: readonly Shown[]): void {
  mkdirSync(folder, { recursive: true });
  const pages = new Map<string, Map<string, Series[]>>();
  for (const { name, series } of shown) {
    const [page = '', panel = ''] = name.split(' / ');
    const panels = pages.get(page) ?? new Map<string, Series[]>();
    panels.set(panel, [...(panels.get(panel) ?? []), ...series]);
    pages.set(page, panels);
  }
  for (const [page, panels] of pages) {
    const file = `${page.toLowerCase().replaceAll(' ', '-')}.svg`;
    writeFileSync(join(folder, file), drawPage([...panels]));
  }
}

function drawPage(panels: readonly (readonly [string, readonly Series[]])[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const body = panels.map(([title, series], index) => {
    const [x, y] = [(index % COLUMNS) * WIDTH, Math.floor(index / COLUMNS) * HEIGHT];
    return `<g transform="translate(${x} ${y})">${drawPanel(title, series)}</g>`;
  });
  const size = `width="${COLUMNS * WIDTH}" height="${rows * HEIGHT}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="12">\n${body.join('\n')}\n</svg>\n`;
}

function drawPanel(title: string, all: readonly Series[]): string {
  const series = all.map(({ points }) => points.filter(({ value }) => Number.isFinite(value)));
  const points = series.flat();
  const largest = Math.max(0, ...points.map(({ value }) => value));
  const [from, to] = [Math.min(...points.map(({ at }) => at)), Math.max(...points.map(({ at }) => at))];
  const x = (at: number) => MARGIN + ((at - from) / (to - from || 1)) * (WIDTH - 2 * MARGIN);
  const y = (value: number) => HEIGHT - MARGIN - (value / (largest || 1)) * (HEIGHT - MARGIN - HEAD - 6);
  const lines = series.map((line, index) => {
    const path = line.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    return `<polyline fill="none" stroke="${COLOURS[index % COLOURS.length]}" points="${path}"/>`;
  });
  const frame = `<rect x="4" y="4" width="${WIDTH - 8}" height="${HEIGHT - 8}" fill="none" stroke="#ccc"/>`;
  const head = `<text x="${MARGIN}" y="20">${escapeXml(title)}</text>`;
  const foot = `<text x="${MARGIN}" y="${HEAD}" fill="#777" font-size="10">largest ${Number(largest.toPrecision(3))}</text>`;
  return `${frame}${head}${foot}${lines.join('')}`;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&]/g, (character) => `&#${character.charCodeAt(0)};`);
}
