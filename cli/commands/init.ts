import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { packagePath } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { printLine } from '../output/print.ts';

/** Each is a file of `cli/templates`. */
export const TEMPLATES = ['cloud-image', 'iso', 'layers', 'windows'] as const;

interface InitFlags {
  readonly template: (typeof TEMPLATES)[number];
  readonly force?: boolean;
}

export function register(program: Command): void {
  program
    .command('init')
    .description('write a commented module file to start from')
    .argument('[file]', 'where to write it; - prints it', 'module.yaml')
    .addOption(new Option('--template <name>', 'which example to write').choices(TEMPLATES).default('cloud-image'))
    .option('--force', 'overwrite an existing file')
    .action((file: string, { template, force }: InitFlags) => {
      const text = readFileSync(join(packagePath('cli', 'templates'), `${template}.yaml`), 'utf8');
      if (file === '-') {
        process.stdout.write(text);
        return;
      }
      if (existsSync(file) && !force) {
        throw new FarmError(
          'InvalidRequest',
          `${file} already exists. Name another file, or overwrite it with --force.`,
        );
      }
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      printLine(`Wrote ${file}. Edit it, then: slipway validate ${file} && slipway build ${file}`);
    });
}
