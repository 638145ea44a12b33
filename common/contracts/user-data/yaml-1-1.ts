import { CST, Lexer, LineCounter, parseDocument, visit } from 'yaml';
import { errorMessage } from '../../errors/farm-error.ts';
import type { ProblemCode, Severity } from '../module/problem.ts';
import { SourceDocument, yamlComplaint } from '../module/yaml-source.ts';

/** Something wrong at a place of a text. Line and column count from 1. */
export interface TextFinding {
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  readonly code: ProblemCode;
  readonly message: string;
}

/** What PyYAML makes of a text, and what is wrong with it. */
export interface Yaml11 {
  readonly findings: readonly TextFinding[];
  /** Null when the text is no YAML. */
  readonly document: SourceDocument | null;
  readonly value: unknown;
}

/** Reads a text as cloud-init does, by PyYAML's safe loader: YAML 1.1, the later of two equal keys, no foreign tags. */
export function readYaml11(text: string): Yaml11 {
  try {
    return read(text);
  } catch (error) {
    // The reader calls itself for each level of nesting: a text may exhaust the stack.
    return { findings: [broken(1, 1, errorMessage(error))], document: null, value: undefined };
  }
}

function read(text: string): Yaml11 {
  const lines = new LineCounter();
  const options = { version: '1.1', lineCounter: lines, prettyErrors: false, logLevel: 'silent' } as const;
  const parsed = parseDocument(text, options);
  const document = new SourceDocument({ path: '', text }, parsed, lines);
  const place = (offset: number) => document.positionAt(offset);
  const findings: TextFinding[] = [];
  const unclosed = parsed.errors.find(({ message, pos }) => isClosedLater(message, text.slice(pos[0])));
  if (unclosed) return { findings: [doubtfulQuote(place(unclosed.pos[0]))], document: null, value: undefined };
  for (const { code, pos, message } of parsed.errors) {
    const { line, column } = place(pos[0]);
    if (code === 'DUPLICATE_KEY') findings.push(duplicate({ line, column }, text.slice(pos[0])));
    else findings.push(broken(line, column, yamlComplaint(message)));
  }
  for (const { code, pos, message } of parsed.warnings) {
    const { line, column } = place(pos[0]);
    if (code === 'TAG_RESOLVE_FAILED') findings.push(broken(line, column, message));
  }
  visit(parsed, {
    Alias: (_key, alias) => {
      if (alias.resolve(parsed)) return;
      const { line, column } = place(alias.range?.[0] ?? 0);
      findings.push(broken(line, column, `nothing above has the anchor "${alias.source}"`));
    },
  });
  for (const offset of strayTabs(text)) {
    const { line, column } = place(offset);
    findings.push({ ...SYNTAX, line, column, message: 'a tab cannot stand here: cloud-init takes spaces only' });
  }
  const isReadable = findings.every(({ severity }) => severity === 'warning');
  return { findings, document: isReadable ? document : null, value: isReadable ? parsed.toJS() : undefined };
}

const SYNTAX = { severity: 'error', code: 'Syntax' } as const;

function broken(line: number, column: number, why: string): TextFinding {
  return { ...SYNTAX, line, column, message: `not valid YAML: ${why}` };
}

/** PyYAML bears with quoted lines that are indented less than what they stand in: whether it does here is not known. */
function isClosedLater(message: string, rest: string): boolean {
  const quote = /^Missing closing (["'])/.exec(message)?.[1];
  return quote !== undefined && rest.includes(quote);
}

function doubtfulQuote({ line, column }: { line: number; column: number }): TextFinding {
  const message = 'the quotation does not end on lines that are indented enough: indent them, or close it';
  return { line, column, severity: 'warning', code: 'Doubtful', message };
}

function duplicate(at: { line: number; column: number }, rest: string): TextFinding {
  const key = /^["']?([^"':\s]*)/.exec(rest)?.[1];
  const message = `the key "${key}" stands twice in the same map: the later one counts`;
  return { ...at, severity: 'warning', code: 'DuplicateKey', message };
}

/** The tabs that the reader takes for white space, or for a part of a plain value, and PyYAML for an error. */
function strayTabs(text: string): number[] {
  const found: number[] = [];
  let offset = 0;
  let block: 'none' | 'announced' | 'begun' = 'none';
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === CST.SCALAR && block === 'announced') block = 'begun';
    // Marks of the lexer that stand for nothing in the text.
    if (lexeme === CST.DOCUMENT || lexeme === CST.FLOW_END || lexeme === CST.SCALAR) continue;
    const type = CST.tokenType(lexeme);
    const at = lexeme.indexOf('\t');
    // The lexer does not say what the lines of a block and plain values are.
    if (at !== -1 && block !== 'begun' && (type === 'space' || type === null)) found.push(offset + at);
    if (type === 'block-scalar-header') block = 'announced';
    else if (block === 'begun') block = 'none';
    offset += lexeme.length;
  }
  return found;
}
