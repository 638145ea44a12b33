import type { Command } from 'commander';
import { loadProgram } from '../../cli/program.ts';
import { describeOptions } from '../../common/config/load-config.ts';
import { FAILURES } from '../../common/contracts/failures.ts';
import { moduleJsonSchema } from '../../common/contracts/module/json-schema.ts';
import { KIND_POLICY } from '../../common/errors/error-kinds.ts';
import { ERRORS } from '../../common/errors/error-table.ts';
import { apiBlocks } from './api-page.ts';
import { metricsPage } from './metrics-page.ts';
import { MODULE_PAGES, modulePage } from './module-pages.ts';

/** A file of `docs/` that is written from the source it describes. */
export interface ReferencePage {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly render: () => string | Promise<string>;
}

export const REFERENCE_PAGES: readonly ReferencePage[] = [
  { path: 'docs/errors.md', render: errorsPage },
  { path: 'docs/configuration.md', render: configurationPage },
  { path: 'docs/metrics.md', render: metricsPage },
  { path: 'docs/api.md', render: () => page('# The HTTP API', NOTICE, ...apiBlocks(table)) },
  { path: 'docs/cli.md', render: cliPage },
  { path: 'docs/module.schema.json', render: () => `${JSON.stringify(moduleJsonSchema(), null, 2)}\n` },
  ...Object.keys(MODULE_PAGES).map((name) => ({ path: `docs/module/${name}.md`, render: () => modulePage(name) })),
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
    'Options of the scheduler and the workers, from `common/config/schema.ts`. They are in a YAML file named by `SLIPWAY_CONFIG`; a variable wins over the file. `slipway up` writes this file by itself, and takes other options by `--set OPTION=VALUE`.',
    table(['option', 'variable', 'default', 'meaning'], rows),
  );
}

async function cliPage(): Promise<string> {
  const { commands } = await loadProgram();
  return page(
    '# Command line',
    NOTICE,
    'The output of `slipway COMMAND --help`, from `cli/commands/`. Exit codes: 0 done, 1 the farm or the command could not do its work; of a build also 2 failed, 3 cancelled. Answers go to standard output, everything else to standard error. `NO_COLOR` is obeyed.',
    ...commands.flatMap((command) => commandBlocks(command, 'slipway')),
  );
}

function commandBlocks(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  const takes = command.registeredArguments.map((argument) => {
    const text = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return [argument.required ? `\`<${text}>\`` : `\`[${text}]\``, argument.description, ''];
  });
  const options = command.options
    .filter(({ hidden }) => !hidden)
    .map((option) => {
      const { flags, description, negate, argChoices, defaultValue, defaultValueDescription } = option;
      const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
      const given = negate || defaultValue === undefined ? '' : (defaultValueDescription ?? `\`${defaultValue}\``);
      return [`\`${flags}\``, `${description}${choices}`, given];
    });
  const rows = [...takes, ...options];
  const head = [`## ${name}`, `${capital(command.description())}.`];
  const all = rows.length === 0 ? head : [...head, table(['option', 'meaning', 'default'], rows)];
  return [...all, ...command.commands.flatMap((nested) => commandBlocks(nested, name))];
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function page(...blocks: string[]): string {
  return `${blocks.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
