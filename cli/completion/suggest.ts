import type { Argument, Command, Option } from 'commander';

/** Completions of the word that is being typed. */
export interface Suggestions {
  readonly items: readonly Suggestion[];
  /** Whether names of files may be there too. */
  readonly files: boolean;
}

export interface Suggestion {
  readonly value: string;
  readonly description: string;
}

/** Ids of builds, as a farm has them now. */
export type BuildIds = () => Promise<readonly Suggestion[]>;

/** Options whose value is none of a file. */
const NO_FILE = /<(?!file|dir)/;

/** @param words typed after the name of the program; the last one is being typed, and may be empty */
export async function suggest(program: Command, words: readonly string[], buildIds: BuildIds): Promise<Suggestions> {
  const typed = words.at(-1) ?? '';
  const all = await candidates({ ...placeOf(program, words.slice(0, -1)), typed, buildIds });
  return { ...all, items: all.items.filter(({ value }) => value.startsWith(typed)) };
}

/** Where the words lead: to a command, and to the value of its option or to one of its arguments. */
interface Place {
  readonly command: Command;
  /** Commands that may be here. */
  readonly nested: readonly Command[];
  readonly argument: Argument | undefined;
  readonly option: Option | undefined;
}

function placeOf(program: Command, before: readonly string[]): Place {
  let command = program;
  let option: Option | undefined;
  let index = 0;
  for (const word of before) {
    if (option) option = undefined;
    else if (word.startsWith('-')) {
      const named = command.options.find(({ long, short }) => word === long || word === short);
      option = named?.required || named?.optional ? named : undefined;
    } else {
      const nested = command.commands.find((each) => each.name() === word);
      if (nested) command = nested;
      else index += 1;
    }
  }
  const { registeredArguments } = command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[index] ?? (last?.variadic ? last : undefined);
  return { command, nested: index === 0 ? command.commands : [], argument, option };
}

async function candidates({
  command,
  nested,
  argument,
  option,
  typed,
  buildIds,
}: Place & { readonly typed: string; readonly buildIds: BuildIds }): Promise<Suggestions> {
  if (option) return { items: choices(option.argChoices), files: !option.argChoices && !NO_FILE.test(option.flags) };
  if (typed.startsWith('-')) return { items: optionsOf(command), files: false };
  const commands = nested.map((each) => ({ value: each.name(), description: each.description() }));
  if (!argument) return { items: commands, files: false };
  if (argument.name().startsWith('build')) return { items: [...commands, ...(await buildIds())], files: false };
  const items = [...commands, ...choices(argument.argChoices)];
  return { items, files: ['path', 'file'].includes(argument.name()) };
}

function optionsOf(command: Command): Suggestion[] {
  return [
    ...command.options
      .filter(({ hidden }) => !hidden)
      .map(({ long, short, description }) => ({ value: long ?? short ?? '', description })),
    { value: '--help', description: 'display help for command' },
  ];
}

function choices(values: readonly string[] | undefined): Suggestion[] {
  return (values ?? []).map((value) => ({ value, description: '' }));
}
