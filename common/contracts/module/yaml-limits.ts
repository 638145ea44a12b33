import { CST, Lexer } from 'yaml';

/** Limits on all texts of one request together; `depth`, `characters` and `userDataPieces` are of each. */
export const YAML_LIMITS = {
  /** Documents, and so modules. */
  documents: 5_000,
  /** Words, marks, blanks and line ends. */
  pieces: 300_000,
  /** Those of one text for cloud-init: user data or network data. */
  userDataPieces: 100_000,
  /** Anchors and aliases. */
  anchors: 5_000,
  /** Values, those that aliases repeat counted wherever they are. */
  values: 300_000,
  /** Characters of the texts that variables are filled into. */
  filled: 2 ** 24,
  /** References to secrets in one document. */
  secrets: 200,
  /** Lists and maps in each other. */
  depth: 100,
  /** UTF-16 units of one text. */
  characters: 2 ** 20,
} as const;

/** Where a text has too much, in UTF-16 units from its start, and of what. */
export interface Excess {
  readonly offset: number;
  readonly complaint: string;
}

/** Tokens of the lexer, before parsing. */
export interface Lexed {
  readonly lexemes: readonly string[];
  readonly excess: Excess | null;
}

/** Tokens of the lexer without text. */
const MARKS: ReadonlySet<string> = new Set([CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]);

/** The part of the limits that the texts of one request have used. */
export class YamlBudget {
  #documents = 0;
  #pieces = 0;
  #anchors = 0;
  #values = 0;
  #filled = 0;

  /** Cuts a text into lexemes, until it or the request has too many. */
  lex(text: string, mostPieces: number): Lexed {
    const lexemes: string[] = [];
    let offset = 0;
    for (const lexeme of new Lexer().lex(text)) {
      const complaint = lexemes.length === mostPieces ? tooLong(mostPieces) : this.#take(lexeme);
      if (complaint !== null) return { lexemes, excess: { offset, complaint } };
      lexemes.push(lexeme);
      if (!MARKS.has(lexeme)) offset += lexeme.length;
    }
    return { lexemes, excess: null };
  }

  /** Counts the values of a document that was read; false when they are too many. */
  takeValues(document: unknown): boolean {
    this.#values += sizeOf(document, new Map());
    return this.#values <= YAML_LIMITS.values;
  }

  /** Counts a text that was filled; false when they are too many characters. */
  takeFilled(length: number): boolean {
    this.#filled += length;
    return this.#filled <= YAML_LIMITS.filled;
  }

  #take(lexeme: string): string | null {
    this.#pieces += 1;
    if (this.#pieces > YAML_LIMITS.pieces) return tooMany(YAML_LIMITS.pieces, 'words and marks');
    if (lexeme === '---' || lexeme === '...') this.#documents += 1;
    if (this.#documents > YAML_LIMITS.documents) return tooMany(YAML_LIMITS.documents, 'documents');
    if (/^[&*]/.test(lexeme)) this.#anchors += 1;
    if (this.#anchors > YAML_LIMITS.anchors) return tooMany(YAML_LIMITS.anchors, 'anchors and aliases');
    if (lexeme.length <= YAML_LIMITS.characters) return null;
    return `this text has ${lexeme.length} characters, more than the limit of ${YAML_LIMITS.characters}: put it in a separate file, and name that under "path"`;
  }
}

function tooLong(limit: number): string {
  return `a text for cloud-init may have at most ${limit} words and marks: copy what is large in a step`;
}

function tooMany(limit: number, what: string): string {
  return `a request may have at most ${limit} ${what}: send the modules in several requests`;
}

/** Number of values in a value, itself included. A value that contains itself counts once. */
function sizeOf(value: unknown, known: Map<object, number>): number {
  if (typeof value !== 'object' || value === null) return 1;
  const before = known.get(value);
  if (before !== undefined) return before;
  known.set(value, 0);
  let size = 1;
  for (const item of Array.isArray(value) ? value : Object.values(value)) size += sizeOf(item, known);
  known.set(value, size);
  return size;
}
