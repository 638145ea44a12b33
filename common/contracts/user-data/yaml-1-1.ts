import { CST, Lexer, LineCounter } from 'yaml';
import { errorMessage } from '../../errors/farm-error.ts';
import type { ProblemCode, Severity } from '../module/problem.ts';
import { parseYaml } from '../module/read-yaml.ts';
import { yamlComplaint } from '../module/yaml-complaints.ts';
import { TEXT_LIMITS, type YamlBudget } from '../module/yaml-limits.ts';
import { repeatedKey } from '../module/yaml-nodes.ts';
import { SourceDocument } from '../module/yaml-source.ts';
import { pyYamlTags } from './py-yaml-tags.ts';

/** Something wrong at a place of a text. Line and column count from 1. */
export interface TextFinding {
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  readonly code: ProblemCode;
  readonly message: string;
}

/** Result of PyYAML for a text, with its problems. */
export interface Yaml11 {
  readonly findings: readonly TextFinding[];
  /** Null when the text is not YAML. */
  readonly document: SourceDocument | null;
  readonly value: unknown;
}

/** PyYAML knows more scalars as texts than YAML 1.1 does. */
const PY_YAML = { version: '1.1', customTags: pyYamlTags } as const;

/** Reads a text as cloud-init does, by PyYAML's safe loader: YAML 1.1, the later of two equal keys, no foreign tags. */
export function readYaml11(text: string, budget: YamlBudget): Yaml11 {
  const lines = new LineCounter();
  const read = parseYaml(text, { lines, budget, options: PY_YAML, mostPieces: TEXT_LIMITS.userDataPieces });
  if ('complaint' in read) return unreadable([{ ...SYNTAX, line: 1, column: 1, message: read.complaint }]);
  const { excess } = read.value;
  const [parsed, second] = read.value.documents;
  if (excess) {
    const { line, col } = lines.linePos(excess.offset);
    return unreadable([{ ...TOO_LARGE, line: Math.max(1, line), column: Math.max(1, col), message: excess.complaint }]);
  }
  if (!parsed) return unreadable([]);
  const document = new SourceDocument({ path: '', text }, parsed, lines);
  if (second) {
    const { line, column } = document.positionAt(second.range[0]);
    return unreadable([broken(line, column, 'cloud-init takes a single document')]);
  }
  try {
    return readDocument(text, document, budget);
  } catch (error) {
    // A map that is merged into itself, or an alias that repeats too much.
    return unreadable([broken(1, 1, errorMessage(error))]);
  }
}

function unreadable(findings: readonly TextFinding[]): Yaml11 {
  return { findings, document: null, value: undefined };
}

function readDocument(text: string, document: SourceDocument, budget: YamlBudget): Yaml11 {
  const parsed = document.document;
  const place = (offset: number) => document.positionAt(offset);
  const lines = text.split('\n');
  const findings: TextFinding[] = [];
  const unclosed = parsed.errors.find(({ message, pos }) => isClosedLater(message, text.slice(pos[0])));
  if (unclosed) return unreadable([doubtfulQuote(place(unclosed.pos[0]))]);
  for (const { name, code, pos, message } of document.errors) {
    const { line, column } = place(pos[0]);
    const isError = name === 'YAMLParseError' || code === 'TAG_RESOLVE_FAILED';
    if (isError && code !== 'TAB_AS_INDENT')
      findings.push(broken(line, column, yamlComplaint(message, lines[line - 1])));
  }
  for (const key of document.collectionKeys()) {
    const { line, column } = place(key.range?.[0] ?? 0);
    findings.push(broken(line, column, yamlComplaint('With stringKeys', lines[line - 1])));
  }
  for (const node of document.droppedMarks()) {
    const { line, column } = place(node.range?.[0] ?? 0);
    findings.push({ ...DOUBTFUL, line, column, message: 'a text that begins with "!" loses it: put it in quotes' });
  }
  for (const key of document.repeatedKeys()) {
    const { line, column } = place(key.range?.[0] ?? 0);
    const message = `${repeatedKey(key)}: the last one wins`;
    findings.push({ line, column, severity: 'warning', code: 'DuplicateKey', message });
  }
  for (const alias of document.danglingAliases()) {
    const { line, column } = place(alias.range?.[0] ?? 0);
    findings.push(broken(line, column, `unknown anchor "${alias.source}"`));
  }
  for (const offset of strayTabs(text)) {
    const { line, column } = place(offset);
    findings.push({ ...SYNTAX, line, column, message: 'a tab is not allowed here: cloud-init accepts spaces only' });
  }
  if (findings.some(({ severity }) => severity === 'error')) return unreadable(findings);
  const value: unknown = parsed.toJS();
  if (budget.takeValues(value)) return { findings, document, value };
  const message = `its aliases repeat too much: a request may have ${budget.limits.values} values`;
  return unreadable([{ ...TOO_LARGE, line: 1, column: 1, message }]);
}

const DOUBTFUL = { severity: 'warning', code: 'Doubtful' } as const;
const SYNTAX = { severity: 'error', code: 'Syntax' } as const;
const TOO_LARGE = { severity: 'error', code: 'TooLarge' } as const;

function broken(line: number, column: number, why: string): TextFinding {
  return { ...SYNTAX, line, column, message: `not valid YAML: ${why}` };
}

/** PyYAML accepts quoted lines that are indented less than their parent: whether it does here is unknown. */
function isClosedLater(message: string, rest: string): boolean {
  const quote = /^Missing closing (["'])/.exec(message)?.[1];
  return quote !== undefined && rest.includes(quote);
}

function doubtfulQuote({ line, column }: { line: number; column: number }): TextFinding {
  const message = 'the quotation does not end on lines that are indented enough: indent them, or close it';
  return { ...DOUBTFUL, line, column, message };
}

/** The tabs that the reader takes for white space, or for a part of a plain value, and PyYAML for an error. */
function strayTabs(text: string): number[] {
  const found: number[] = [];
  let offset = 0;
  let block: 'none' | 'announced' | 'begun' = 'none';
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === CST.SCALAR && block === 'announced') block = 'begun';
    // Tokens of the lexer without text.
    if (lexeme === CST.DOCUMENT || lexeme === CST.FLOW_END || lexeme === CST.SCALAR) continue;
    const type = CST.tokenType(lexeme);
    const at = lexeme.indexOf('\t');
    // The lexer does not return the lines of a block and of plain values.
    if (at !== -1 && block !== 'begun' && (type === 'space' || type === null)) found.push(offset + at);
    if (type === 'block-scalar-header') block = 'announced';
    else if (block === 'begun') block = 'none';
    offset += lexeme.length;
  }
  return found;
}
