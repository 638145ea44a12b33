import { describeOptions } from '../../common/config/load-config.ts';
import { FAILURES } from '../../common/contracts/failures.ts';
import { ERRORS, KIND_POLICY } from '../../common/errors/error-table.ts';

/** A page of `docs/` that is written from the source it describes. */
export interface ReferencePage {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly render: () => string;
}

export const REFERENCE_PAGES: readonly ReferencePage[] = [
  { path: 'docs/errors.md', render: errorsPage },
  { path: 'docs/configuration.md', render: configurationPage },
];

const NOTICE = '<!-- Written by `npm run docs`. Change the source it names, not this page. -->';

function errorsPage(): string {
  const errors = Object.entries(ERRORS).map(([code, { kind, http, solve }]) => [
    code,
    kind,
    String(http),
    KIND_POLICY[kind].retry,
    solve,
  ]);
  const failures = Object.entries(FAILURES).map(([reason, { retry, solve }]) => [reason, retry, solve]);
  return page(
    '# Errors and failures',
    NOTICE,
    'An **error** means that the farm could not do its work. Match on its code, never on its message. The table is `common/errors/error-table.ts`.',
    table(['code', 'kind', 'HTTP', 'retry', 'what to do'], errors),
    'A **failure** means that a module could not be built; it is a result. It carries a reason, a message and evidence. The table is `common/contracts/failures.ts`.',
    table(['reason', 'the farm tries again', 'what to do'], failures),
  );
}

function configurationPage(): string {
  const rows = describeOptions().map(({ path, variable, description, defaultValue }) => [
    `\`${path}\``,
    variable && `\`${variable}\``,
    defaultValue === undefined ? '' : `\`${JSON.stringify(defaultValue)}\``,
    description,
  ]);
  return page(
    '# Configuration',
    NOTICE,
    'Options of the scheduler and the workers, from `common/config/schema.ts`. They stand in a YAML file named by `SLIPWAY_CONFIG`; a variable wins over the file. `slipway up` writes this file by itself.',
    table(['option', 'variable', 'default', 'meaning'], rows),
  );
}

function page(...blocks: string[]): string {
  return `${blocks.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
