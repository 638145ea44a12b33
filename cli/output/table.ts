import Table from 'cli-table3';
import { printable } from '../../common/text/printable.ts';

const NO_LINES = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

/** Prints columns aligned by width, without lines, as `kubectl` and `docker` do. Cells may come from guests. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(
    head.map((cell) => cell.toUpperCase()),
    ...rows.map((row) => row.map(printable)),
  );
  process.stdout.write(`${table.toString().replace(/ +$/gm, '')}\n`);
}
