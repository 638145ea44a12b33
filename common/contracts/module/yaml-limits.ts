import { CST, Lexer } from 'yaml';

/** Modules of one request, unless the farm is configured for other ones (`http.limits.modules`). */
export const USUAL_MODULES = 5_000;

/** Of the files of a person who reads them on their own machine: the farm that they are sent to has its own limit. */
export const OWN_MODULES = 100_000;

/** Limits on each text. */
export const TEXT_LIMITS = {
  /** Words, marks, blanks and line ends of a text for cloud-init: user data or network data. */
  userDataPieces: 100_000,
  /** References to secrets in one document. */
  secrets: 200,
  /** Lists and maps in each other. */
  depth: 100,
  /** UTF-16 units of one text. */
  characters: 2 ** 20,
} as const;

/** Limits on all texts of one request together. */
export interface RequestLimits {
  /** Documents, and so modules. */
  readonly documents: number;
  /** Words, marks, blanks and line ends. */
  readonly pieces: number;
  /** Anchors and aliases. */
  readonly anchors: number;
  /** Values, those that aliases repeat counted wherever they are. */
  readonly values: number;
  /** Characters of the texts that variables are filled into. */
  readonly filled: number;
}

/** What so many modules may have together, at least as much as the usual number: a few may be large. */
export function requestLimits(modules: number): RequestLimits {
  const grown = (usual: number) => Math.floor(usual * Math.max(1, modules / USUAL_MODULES));
  const pieces = grown(600_000);
  return { documents: modules, pieces, anchors: grown(5_000), values: pieces, filled: grown(2 ** 24) };
}

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
  readonly limits: RequestLimits;
  #documents = 0;
  #pieces = 0;
  #anchors = 0;
  #values = 0;
  #filled = 0;

  constructor(modules: number = USUAL_MODULES) {
    this.limits = requestLimits(modules);
  }

  /** Cuts a text into lexemes, until it or the request has too many. */
  lex(text: string, mostPieces = Number.POSITIVE_INFINITY): Lexed {
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
    return this.#values <= this.limits.values;
  }

  /** Counts a text that was filled; false when they are too many characters. */
  takeFilled(length: number): boolean {
    this.#filled += length;
    return this.#filled <= this.limits.filled;
  }

  #take(lexeme: string): string | null {
    const { documents, pieces, anchors } = this.limits;
    this.#pieces += 1;
    if (this.#pieces > pieces) return tooMany(pieces, 'words and marks');
    if (lexeme === '---' || lexeme === '...') this.#documents += 1;
    if (this.#documents > documents) return tooMany(documents, 'documents');
    if (/^[&*]/.test(lexeme)) this.#anchors += 1;
    if (this.#anchors > anchors) return tooMany(anchors, 'anchors and aliases');
    if (lexeme.length <= TEXT_LIMITS.characters) return null;
    return `this text has ${lexeme.length} characters, more than the limit of ${TEXT_LIMITS.characters}: put it in a separate file, and name that under "path"`;
  }
}

function tooLong(limit: number): string {
  return `a text for cloud-init may have at most ${limit} words and marks: copy what is large in a step`;
}

function tooMany(limit: number, what: string): string {
  return `a request may have at most ${limit} ${what}: send the modules in several requests, or raise http.limits.modules of the farm`;
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
