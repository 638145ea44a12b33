/** 1-based place in a file that a person wrote. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Lines and columns in the file of the module, by `partPath`. */
export type Places = Readonly<Record<string, Pick<Position, 'line' | 'column'>>>;
