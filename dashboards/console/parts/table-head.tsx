interface TableHeadProps {
  readonly columns: readonly string[];
  /** The columns that hold numbers. */
  readonly numbers?: readonly string[];
  /** For screen readers only. */
  readonly isUnseen?: boolean;
}

export function TableHead({ columns, numbers = [], isUnseen = false }: TableHeadProps) {
  return (
    <thead class={isUnseen ? 'unseen' : undefined}>
      <tr>
        {columns.map((column) => (
          <th key={column} scope="col" class={numbers.includes(column) ? 'number' : undefined}>
            {column}
          </th>
        ))}
      </tr>
    </thead>
  );
}
