import Table from 'cli-table3';
import { printable } from '../../common/text/printable.ts';

const NO_LINES = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};
const GAP = 2;
/** Default width without a terminal and `COLUMNS`. */
const USUAL_COLUMNS = 80;
/** A last column is never cut shorter. */
const LEAST_LAST = 12;

/** How a table is printed. */
export interface TableOptions {
  /** Cuts the last column where the terminal ends. @defaultValue false */
  readonly fits?: boolean;
}

/** Prints columns aligned by width, without lines, as `kubectl` and `docker` do. Cells may come from guests. */
export function printTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { fits = false }: TableOptions = {},
): void {
  const table = new Table({
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  const cells = [head.map((cell) => cell.toUpperCase()), ...rows.map((row) => row.map(printable))];
  table.push(...(fits ? fitted(cells, lineWidth()) : cells));
  process.stdout.write(`${table.toString().replace(/ +$/gm, '')}\n`);
}

function lineWidth(): number {
  return process.stdout.columns || Number(process.env['COLUMNS']) || USUAL_COLUMNS;
}

function fitted(rows: readonly string[][], width: number): string[][] {
  const last = (rows[0]?.length ?? 1) - 1;
  const widths = Array.from({ length: last }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const room = Math.max(LEAST_LAST, width - widths.reduce((sum, each) => sum + each + GAP, 0));
  return rows.map((row) => row.map((cell, column) => (column === last ? cut(cell, room) : cell)));
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}
