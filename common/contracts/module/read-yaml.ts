import { Composer, type Document, isScalar, LineCounter, Parser } from 'yaml';
import { errorMessage } from '../../errors/farm-error.ts';
import { foreignFile } from './foreign-files.ts';
import type { Parsed } from './parsed.ts';
import type { ModuleProblem, ProblemCode } from './problem.ts';
import { type Excess, TEXT_LIMITS, type YamlBudget } from './yaml-limits.ts';
import { SourceDocument, type SourceFile } from './yaml-source.ts';

/** Documents that can be parsed, and the problems of the others. */
export interface ReadDocuments {
  readonly documents: readonly SourceDocument[];
  /** Each is only described when it is asked for. */
  readonly problems: readonly (() => ModuleProblem)[];
}

/** Reads the documents of a file; those that are empty or cannot be understood are left out. */
export function readDocuments(source: SourceFile, budget: YamlBudget): ReadDocuments {
  const foreign = foreignFile(source.text);
  if (foreign !== undefined) return { documents: [], problems: [() => wholeFile(source, 'UnknownKind', foreign)] };
  const lines = new LineCounter();
  const read = parseYaml(source.text, { lines, budget });
  if ('complaint' in read) return { documents: [], problems: [() => wholeFile(source, 'Syntax', read.complaint)] };
  const { documents: all, excess } = read.value;
  const documents: SourceDocument[] = [];
  const problems: (() => ModuleProblem)[] = [];
  for (const document of all) {
    const located = new SourceDocument(source, document, lines);
    const isEmpty = document.contents === null || (isScalar(document.contents) && document.contents.value === null);
    if (document.errors.length === 0 && !isEmpty) documents.push(located);
    else problems.push(...located.errors.map((error) => () => located.problemOf(error)));
  }
  if (excess) {
    const { line, col } = lines.linePos(excess.offset);
    const place = { file: source.path, line: Math.max(1, line), column: Math.max(1, col) };
    problems.push(() => ({ ...place, severity: 'error', code: 'TooLarge', message: excess.complaint }));
  }
  if (documents.length === 0 && problems.length === 0) {
    problems.push(() => wholeFile(source, 'EmptyFile', 'the file contains no module'));
  }
  return { documents, problems };
}

interface ParsedYaml {
  readonly documents: readonly Document.Parsed[];
  /** A text beyond a limit is not parsed at all. */
  readonly excess: Excess | null;
}

/** The version of YAML, and what else the reader is to know. */
export type YamlOptions = ConstructorParameters<typeof Composer>[0];

const MODULE_YAML: YamlOptions = { merge: true, stringKeys: true };

/** How a text is read. */
interface YamlReading {
  /** Receives the line ends. */
  readonly lines: LineCounter;
  readonly budget: YamlBudget;
  /** @defaultValue as the files of modules are read */
  readonly options?: YamlOptions;
  /** @defaultValue the rest of the budget */
  readonly mostPieces?: number;
}

/** Reads a text within the rest of a budget. Equal keys in a map are not looked for: see `repeatedKeys`. */
export function parseYaml(
  text: string,
  { lines, budget, options = MODULE_YAML, mostPieces }: YamlReading,
): Parsed<ParsedYaml> {
  const parser = new Parser();
  // The parser forgets line ends where it stumbles.
  for (let at = 0; at !== 0 || lines.lineStarts.length === 0; at = text.indexOf('\n', at) + 1) lines.addNewLine(at);
  const { lexemes, excess } = budget.lex(text, mostPieces);
  if (excess) return { value: { documents: [], excess } };
  const { stackTraceLimit } = Error;
  try {
    // A trace for each complaint takes ten times as long as the reading.
    Error.stackTraceLimit = 0;
    const tokens = [];
    for (const lexeme of lexemes) {
      for (const token of parser.next(lexeme)) tokens.push(token);
      if (parser.stack.length <= TEXT_LIMITS.depth) continue;
      const complaint = `lists and maps are nested more than ${TEXT_LIMITS.depth} levels deep here`;
      return { value: { documents: [], excess: { offset: parser.offset, complaint } } };
    }
    tokens.push(...parser.end());
    const composer = new Composer({
      ...options,
      prettyErrors: false,
      logLevel: 'silent',
      uniqueKeys: false,
    });
    return { value: { documents: [...composer.compose(tokens)] as Document.Parsed[], excess: null } };
  } catch (error) {
    return { complaint: `not valid YAML: ${errorMessage(error)}` };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function wholeFile(source: SourceFile, code: ProblemCode, message: string): ModuleProblem {
  return { file: source.path, line: 1, column: 1, severity: 'error', code, message };
}
